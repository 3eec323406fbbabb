"""The C++ extension: the arguments of each op's schema, then its outputs (None is not wanted), then the threads."""

from typing import Any, TypeAlias

from torch import Tensor

# The arguments that a family of ops shares, in the order of the schemas.
Shared: TypeAlias = tuple[Any, ...]
Outputs: TypeAlias = tuple[Tensor | None, ...]

def reparameterize_kl(mu: Tensor, scale: Tensor, posterior: Shared, outputs: Outputs, threads: int, /) -> None: ...
def reparameterize_kl_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    posterior: Shared,
    gradients: Outputs,
    threads: int,
    /,
) -> None: ...
def reparameterize_kl_packed(
    moments: Tensor, dim: int, interleaved: bool, posterior: Shared, outputs: Outputs, threads: int, /
) -> None: ...
def reparameterize_kl_packed_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    moments: Tensor,
    dim: int,
    interleaved: bool,
    posterior: Shared,
    gradients: Outputs,
    threads: int,
    /,
) -> None: ...
def reconstruction(name: str, pair: Shared, outputs: Outputs, threads: int, /) -> None: ...
def reconstruction_backward(
    name: str, grad_loss: Tensor, pair: Shared, gradients: Outputs, threads: int, /
) -> None: ...
def log_normal(density: Shared, log_prob: Tensor, threads: int, /) -> None: ...
def log_normal_backward(grad_log_prob: Tensor, density: Shared, gradients: Outputs, threads: int, /) -> None: ...
def importance_weighted_bound(log_w: Tensor, dim: int, bound: Tensor, threads: int, /) -> None: ...
def importance_weighted_bound_backward(
    grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int, grad_log_w: Tensor, threads: int, /
) -> None: ...
def scale_gradient(grad: Tensor, upstream: Tensor, threads: int, /) -> None: ...
def normal(seed: Tensor, start: int, out: Tensor, threads: int, /) -> None: ...
def plain_device(arguments: tuple[object, ...], /) -> str | None: ...
def capability() -> str: ...
