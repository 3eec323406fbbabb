"""The ops of `fastvae._ops` as Triton kernels, for CUDA and ROCm; on CPU tensors under Triton's interpreter."""

try:
    import triton  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("backend: got 'triton' without the package triton; takes `pip install triton`") from error

from fastvae._triton.discretized_logistic_mixture import (
    discretized_logistic_mixture_nll,
    discretized_logistic_mixture_nll_backward,
)
from fastvae._triton.importance_weighted_bound import importance_weighted_bound, importance_weighted_bound_backward
from fastvae._triton.log_normal import log_normal, log_normal_backward
from fastvae._triton.log_normal_mixture import log_normal_mixture, log_normal_mixture_backward
from fastvae._triton.minibatch_log_densities import minibatch_log_densities, minibatch_log_densities_backward
from fastvae._triton.negative_binomial_nll import negative_binomial_nll, negative_binomial_nll_backward
from fastvae._triton.reconstruction import (
    reconstruction,
    reconstruction_backward,
    reconstruction_inplace,
    scale_gradients,
)
from fastvae._triton.reparameterize_kl import reparameterize_kl, reparameterize_kl_backward
from fastvae._triton.reparameterize_kl_packed import reparameterize_kl_packed, reparameterize_kl_packed_backward

__all__ = [
    "discretized_logistic_mixture_nll",
    "discretized_logistic_mixture_nll_backward",
    "importance_weighted_bound",
    "importance_weighted_bound_backward",
    "log_normal",
    "log_normal_backward",
    "log_normal_mixture",
    "log_normal_mixture_backward",
    "minibatch_log_densities",
    "minibatch_log_densities_backward",
    "negative_binomial_nll",
    "negative_binomial_nll_backward",
    "reconstruction",
    "reconstruction_backward",
    "reconstruction_inplace",
    "reparameterize_kl",
    "reparameterize_kl_backward",
    "reparameterize_kl_packed",
    "reparameterize_kl_packed_backward",
    "scale_gradients",
]
