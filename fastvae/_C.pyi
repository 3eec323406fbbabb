"""The C++ extension: the arguments of each op's schema, then its outputs (None is not wanted), then the threads."""

from torch import Tensor

from fastvae._options import Posterior

def reparameterize_kl(
    mu: Tensor,
    scale: Tensor,
    posterior: Posterior | tuple[object, ...],
    z: Tensor | None,
    kl: Tensor | None,
    threads: int,
    /,
) -> None: ...
def reparameterize_kl_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    posterior: Posterior | tuple[object, ...],
    grad_mu: Tensor | None,
    grad_scale: Tensor | None,
    grad_prior_mu: Tensor | None,
    grad_prior_scale: Tensor | None,
    threads: int,
    /,
) -> None: ...
def reparameterize_kl_packed(
    moments: Tensor,
    dim: int,
    interleaved: bool,
    posterior: Posterior | tuple[object, ...],
    z: Tensor | None,
    kl: Tensor | None,
    threads: int,
    /,
) -> None: ...
def reparameterize_kl_packed_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    moments: Tensor,
    dim: int,
    interleaved: bool,
    posterior: Posterior | tuple[object, ...],
    grad_moments: Tensor | None,
    grad_prior_mu: Tensor | None,
    grad_prior_scale: Tensor | None,
    threads: int,
    /,
) -> None: ...
def reconstruction(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    loss: Tensor,
    per_sample: Tensor | None,
    grad: Tensor | None,
    threads: int,
    /,
) -> None: ...
def reconstruction_backward(
    name: str,
    grad_loss: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    grad_input: Tensor | None,
    grad_target: Tensor | None,
    grad_log_scale: Tensor | None,
    threads: int,
    /,
) -> None: ...
def log_normal(
    z: Tensor,
    mu: Tensor | None,
    scale: Tensor | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str,
    batch_dims: int,
    log_prob: Tensor,
    threads: int,
    /,
) -> None: ...
def log_normal_backward(
    grad_log_prob: Tensor,
    z: Tensor,
    mu: Tensor | None,
    scale: Tensor | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str,
    batch_dims: int,
    grad_z: Tensor | None,
    grad_mu: Tensor | None,
    grad_scale: Tensor | None,
    threads: int,
    /,
) -> None: ...
def importance_weighted_bound(log_w: Tensor, dim: int, bound: Tensor, threads: int, /) -> None: ...
def importance_weighted_bound_backward(
    grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int, grad_log_w: Tensor, threads: int, /
) -> None: ...
def scale_gradient(grad: Tensor, upstream: Tensor, threads: int, /) -> None: ...
def normal(seed: Tensor, start: int, out: Tensor, threads: int, /) -> None: ...
def plain_device(arguments: tuple[object, ...], /) -> str | None: ...
def capability() -> str: ...
