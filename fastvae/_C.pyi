"""The C++ extension: tensors as addresses, sizes and strides."""

from collections.abc import Sequence
from typing import TypeAlias

# Address, dtype code, strides over the shape of the op, stride of the leading dimension a kernel loops over.
Tensor: TypeAlias = tuple[int, int, Sequence[int], int]
# Parameterization code, low, high, min_std, min_var.
Scale: TypeAlias = tuple[int, float, float, float, float]
# Elementwise loss, address of the per-sample sums, address of the total, factor of the total.
Loss: TypeAlias = tuple[Tensor | None, int, int, float]

def reparameterize_kl(
    shape: Sequence[int],
    batch_dims: int,
    f64: bool,
    threads: int,
    mu: Tensor | None,
    scale: Tensor | None,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: int,
    num_samples: int,
    options: Scale,
    z: Tensor | None,
    kl: Loss | None,
    /,
) -> None: ...
def reparameterize_kl_backward(
    shape: Sequence[int],
    batch_dims: int,
    f64: bool,
    threads: int,
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    factor: float,
    mu: Tensor | None,
    scale: Tensor | None,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: int,
    num_samples: int,
    options: Scale,
    grad_mu: Tensor | None,
    grad_scale: Tensor | None,
    grad_prior_mu: Tensor | None,
    grad_prior_scale: Tensor | None,
    /,
) -> None: ...
def reconstruction(
    shape: Sequence[int],
    batch_dims: int,
    f64: bool,
    threads: int,
    likelihood: int,
    input: Tensor | None,
    target: Tensor | None,
    weight: Tensor | None,
    log_scale: Tensor | None,
    constant: float,
    loss: Loss,
    grad: Tensor | None,
    /,
) -> None: ...
def reconstruction_backward(
    shape: Sequence[int],
    batch_dims: int,
    f64: bool,
    threads: int,
    likelihood: int,
    grad_loss: Tensor | None,
    factor: float,
    input: Tensor | None,
    target: Tensor | None,
    weight: Tensor | None,
    log_scale: Tensor | None,
    grad_input: Tensor | None,
    grad_target: Tensor | None,
    grad_log_scale: Tensor | None,
    /,
) -> None: ...
def log_normal(
    shape: Sequence[int],
    batch_dims: int,
    f64: bool,
    threads: int,
    z: Tensor | None,
    mu: Tensor | None,
    scale: Tensor | None,
    options: Scale,
    log_prob: Loss,
    /,
) -> None: ...
def log_normal_backward(
    shape: Sequence[int],
    batch_dims: int,
    f64: bool,
    threads: int,
    grad_log_prob: Tensor | None,
    factor: float,
    z: Tensor | None,
    mu: Tensor | None,
    scale: Tensor | None,
    options: Scale,
    grad_z: Tensor | None,
    grad_mu: Tensor | None,
    grad_scale: Tensor | None,
    /,
) -> None: ...
def importance_weighted_bound(
    shape: Sequence[int],
    f64: bool,
    threads: int,
    log_w: Tensor | None,
    num_samples: int,
    bound: Tensor | None,
    /,
) -> None: ...
def importance_weighted_bound_backward(
    shape: Sequence[int],
    f64: bool,
    threads: int,
    grad_bound: Tensor | None,
    log_w: Tensor | None,
    bound: Tensor | None,
    num_samples: int,
    grad_log_w: Tensor | None,
    /,
) -> None: ...
def scale_gradient(
    shape: Sequence[int], f64: bool, threads: int, grad: Tensor | None, upstream: Tensor | None, /
) -> None: ...
def sum_to(shape: Sequence[int], f64: bool, full: Tensor | None, sums: Tensor | None, /) -> None: ...
def normal(seed: int, start: int, count: int, out: int, threads: int, /) -> None: ...
def capability() -> str: ...
