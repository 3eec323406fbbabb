"""The CPU implementation of every op: allocate the outputs, hand them and the arguments to the C++ extension."""

from fastvae._cpu.importance_weighted_bound import importance_weighted_bound, importance_weighted_bound_backward
from fastvae._cpu.log_normal import log_normal, log_normal_backward
from fastvae._cpu.reconstruction import (
    reconstruction,
    reconstruction_backward,
    reconstruction_inplace,
    scale_gradient,
)
from fastvae._cpu.reparameterize_kl import (
    reparameterize_kl,
    reparameterize_kl_backward,
    reparameterize_kl_packed,
    reparameterize_kl_packed_backward,
)

__all__ = [
    "importance_weighted_bound",
    "importance_weighted_bound_backward",
    "log_normal",
    "log_normal_backward",
    "reconstruction",
    "reconstruction_backward",
    "reconstruction_inplace",
    "reparameterize_kl",
    "reparameterize_kl_backward",
    "reparameterize_kl_packed",
    "reparameterize_kl_packed_backward",
    "scale_gradient",
]
