"""The ops of `fastvae._ops` as Triton kernels, for CUDA and ROCm; on CPU tensors under Triton's interpreter."""

try:
    import triton  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("backend: got 'triton' without the package triton; takes `pip install triton`") from error

from fastvae._triton.reparameterize_kl import (
    reparameterize_kl,
    reparameterize_kl_backward,
    reparameterize_kl_packed,
    reparameterize_kl_packed_backward,
)

__all__ = [
    "reparameterize_kl",
    "reparameterize_kl_backward",
    "reparameterize_kl_packed",
    "reparameterize_kl_packed_backward",
]
