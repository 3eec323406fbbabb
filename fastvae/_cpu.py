"""The CPU implementation of every op: allocate the outputs, hand addresses and strides to the C++ extension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from fastvae import _C, _outputs
from fastvae._layout import unpack
from fastvae._options import PARAMETERIZATIONS, reduction_scale

# The codes of csrc/tensor.h and csrc/arguments.h.
_DTYPES: Final = {
    dtype: code
    for code, dtype in enumerate((torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.uint8, torch.bool))
}
_FORMS: Final = {name: code for code, name in enumerate(PARAMETERIZATIONS)}
_LIKELIHOODS: Final = {
    name: code
    for code, name in enumerate(
        ("binary_cross_entropy_with_logits", "binary_cross_entropy", "mse_loss", "l1_loss", "gaussian_nll")
    )
}
_HALF_LOG_TWO_PI: Final = 0.5 * math.log(2 * math.pi)


def _operand(tensor: Tensor | None, shape: torch.Size) -> _C.Tensor | None:
    """A tensor broadcast to `shape` by strides of 0; None stays None."""
    if tensor is None:
        return None
    strides = tensor.stride() if tensor.shape == shape else tensor.expand(shape).stride()
    return tensor.data_ptr(), _DTYPES[tensor.dtype], strides, 0


def _present(tensor: Tensor) -> Tensor | None:
    """An empty tensor stands for an output nobody asked for."""
    return tensor if tensor.numel() else None


def _samples(tensor: Tensor | None, shape: torch.Size, num_samples: int | None) -> _C.Tensor | None:
    """As `_operand`, for a tensor whose further leading dimension holds the samples."""
    if tensor is None or num_samples is None:
        return _operand(tensor, shape)
    return tensor.data_ptr(), _DTYPES[tensor.dtype], tensor.stride()[1:], tensor.stride(0)


def _upstream(grad: Tensor | None, like: Tensor, reduction: str | None, batch_dims: int) -> _C.Tensor | None:
    """The gradient of a reduced loss, broadcast back over what was summed."""
    if grad is not None and reduction == "sample":
        grad = grad[(..., *(None,) * (like.dim() - batch_dims))]
    return _operand(grad, like.shape)


def _factor(like: Tensor, reduction: str | None, batch_dims: int) -> float:
    return reduction_scale(reduction or "sum", like.numel(), like.shape[:batch_dims].numel())


def _loss(loss: Tensor, like: Tensor, reduction: str, batch_dims: int, per_sample: Tensor | None = None) -> _C.Loss:
    """Where the kernel writes a loss."""
    samples = per_sample.data_ptr() if per_sample is not None else 0
    if reduction == "none":
        return _operand(loss, like.shape), samples, 0, 1.0
    if reduction == "sample":
        return None, loss.data_ptr(), 0, 1.0
    return None, samples, loss.data_ptr(), _factor(like, reduction, batch_dims)


def _wide(gradient: Tensor, operand: Tensor | None, like: Tensor) -> Tensor | None:
    """Where the kernel writes a gradient: the gradient itself, or a full-sized buffer if its operand broadcasts."""
    if operand is None or not gradient.numel():
        return None
    if operand.shape == like.shape and not _overlaps(gradient):
        return gradient
    return torch.empty(like.shape, dtype=_outputs.compute_dtype(like))


def _overlaps(tensor: Tensor) -> bool:
    return any(stride == 0 and size > 1 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _narrow(wide: Tensor | None, gradient: Tensor) -> None:
    """Sum a full-sized gradient to the shape of its operand, in a fixed order."""
    if wide is None or wide is gradient:
        return
    sums = torch.zeros(gradient.shape, dtype=torch.float64)
    _C.sum_to(wide.shape, wide.dtype == torch.float64, _operand(wide, wide.shape), _operand(sums, wide.shape))
    gradient.copy_(sums)


def _precise(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float64


def _address(seed: Tensor | None) -> int:
    return 0 if seed is None else seed.data_ptr()


def reparameterize_kl(
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str | None,
    batch_dims: int,
) -> tuple[Tensor, Tensor]:
    noisy = eps is not None or seed is not None
    z, kl = _outputs.reparameterize_kl(mu, noisy, num_samples, reduction, batch_dims)
    shape = mu.shape
    _C.reparameterize_kl(
        shape,
        batch_dims,
        _precise(mu),
        torch.get_num_threads(),
        _operand(mu, shape),
        _operand(scale, shape),
        _operand(prior_mu, shape),
        _operand(prior_scale, shape),
        _samples(eps, shape, num_samples),
        _address(seed),
        num_samples or 1,
        (_FORMS[parameterization], low, high, min_std, min_var),
        _samples(z, shape, num_samples) if noisy else None,
        _loss(kl, mu, reduction, batch_dims) if reduction is not None else None,
    )
    return z, kl


def reparameterize_kl_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str | None,
    batch_dims: int,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    grad_mu, grad_scale, *grad_prior = _outputs.gradients(wanted, mu, scale, prior_mu, prior_scale)
    _posterior_gradients(
        grad_z, grad_kl, mu, scale, prior_mu, prior_scale, eps, seed, num_samples,
        (_FORMS[parameterization], low, high, min_std, min_var), reduction, batch_dims, grad_mu, grad_scale, grad_prior,
    )  # fmt: skip
    return grad_mu, grad_scale, grad_prior[0], grad_prior[1]


def _posterior_gradients(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    options: _C.Scale,
    reduction: str | None,
    batch_dims: int,
    grad_mu: Tensor,
    grad_scale: Tensor,
    grad_prior: Sequence[Tensor],
) -> None:
    """Fill the gradients of a posterior given as two views."""
    shape = mu.shape
    operands = (mu, scale, prior_mu, prior_scale)
    gradients = (grad_mu, grad_scale, *grad_prior)
    wide = [_wide(gradient, operand, mu) for gradient, operand in zip(gradients, operands, strict=True)]
    _C.reparameterize_kl_backward(
        shape,
        batch_dims,
        _precise(mu),
        torch.get_num_threads(),
        _samples(grad_z, shape, num_samples),
        _upstream(grad_kl, mu, reduction, batch_dims),
        _factor(mu, reduction, batch_dims),
        _operand(mu, shape),
        _operand(scale, shape),
        _operand(prior_mu, shape),
        _operand(prior_scale, shape),
        _samples(eps, shape, num_samples),
        _address(seed),
        num_samples or 1,
        options,
        *(_operand(gradient, shape) for gradient in wide),
    )
    for full, gradient in zip(wide, gradients, strict=True):
        _narrow(full, gradient)


def reparameterize_kl_packed(
    moments: Tensor,
    dim: int,
    interleaved: bool,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str | None,
    batch_dims: int,
) -> tuple[Tensor, Tensor]:
    mu, scale = unpack(moments, dim, interleaved)
    return reparameterize_kl(
        mu, scale, prior_mu, prior_scale, eps, seed, num_samples,
        parameterization, low, high, min_std, min_var, reduction, batch_dims,
    )  # fmt: skip


def reparameterize_kl_packed_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    moments: Tensor,
    dim: int,
    interleaved: bool,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str | None,
    batch_dims: int,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    grad_moments, *grad_prior = _outputs.gradients(wanted, moments, prior_mu, prior_scale)
    mu, scale = unpack(moments, dim, interleaved)
    if wanted[0]:
        grad_mu, grad_scale = unpack(grad_moments, dim, interleaved)
    else:
        grad_mu = grad_scale = grad_moments
    _posterior_gradients(
        grad_z, grad_kl, mu, scale, prior_mu, prior_scale, eps, seed, num_samples,
        (_FORMS[parameterization], low, high, min_std, min_var), reduction, batch_dims, grad_mu, grad_scale, grad_prior,
    )  # fmt: skip
    return grad_moments, grad_prior[0], grad_prior[1]


def _reconstruct(
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
) -> None:
    """Fill the loss, its per-sample sums and the gradient of the input, which may be the input itself."""
    shape = input.shape
    _C.reconstruction(
        shape,
        batch_dims,
        _precise(input),
        torch.get_num_threads(),
        _LIKELIHOODS[name],
        _operand(input, shape),
        _operand(target, shape),
        _operand(weight, shape),
        _operand(log_scale, shape),
        _HALF_LOG_TWO_PI if full else 0.0,
        _loss(loss, input, reduction, batch_dims, per_sample),
        _operand(grad, shape),
    )


def reconstruction(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    per_sample: bool,
    grad: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    loss, samples, gradient = _outputs.reconstruction(input, reduction, batch_dims, per_sample, grad)
    _reconstruct(
        name, input, target, weight, log_scale, full, reduction, batch_dims,
        loss, samples if per_sample else None, _present(gradient),
    )  # fmt: skip
    return loss, samples, gradient


def reconstruction_inplace(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    per_sample: bool,
) -> tuple[Tensor, Tensor]:
    loss, samples, _ = _outputs.reconstruction(input, reduction, batch_dims, per_sample, False)
    _reconstruct(
        name, input, target, weight, log_scale, full, reduction, batch_dims,
        loss, samples if per_sample else None, input,
    )  # fmt: skip
    return loss, samples


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
    wanted: Sequence[bool],
) -> tuple[Tensor, ...]:
    shape = input.shape
    operands = (input, target, log_scale)
    gradients = _outputs.gradients(wanted, *operands)
    wide = [_wide(gradient, operand, input) for gradient, operand in zip(gradients, operands, strict=True)]
    _C.reconstruction_backward(
        shape,
        batch_dims,
        _precise(input),
        torch.get_num_threads(),
        _LIKELIHOODS[name],
        _upstream(grad_loss, input, reduction, batch_dims),
        _factor(input, reduction, batch_dims),
        _operand(input, shape),
        _operand(target, shape),
        _operand(weight, shape),
        _operand(log_scale, shape),
        *(_operand(gradient, shape) for gradient in wide),
    )
    for whole, gradient in zip(wide, gradients, strict=True):
        _narrow(whole, gradient)
    return gradients


def scale_gradient(grad: Tensor, upstream: Tensor) -> None:
    shape = grad.shape
    _C.scale_gradient(shape, _precise(grad), torch.get_num_threads(), _operand(grad, shape), _operand(upstream, shape))


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
) -> Tensor:
    log_prob = _outputs.loss(z, reduction, batch_dims)
    shape = z.shape
    _C.log_normal(
        shape,
        batch_dims,
        _precise(z),
        torch.get_num_threads(),
        _operand(z, shape),
        _operand(mu, shape),
        _operand(scale, shape),
        (_FORMS[parameterization], low, high, min_std, min_var),
        _loss(log_prob, z, reduction, batch_dims),
    )
    return log_prob


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
    wanted: Sequence[bool],
) -> tuple[Tensor, ...]:
    shape = z.shape
    operands = (z, mu, scale)
    gradients = _outputs.gradients(wanted, *operands)
    wide = [_wide(gradient, operand, z) for gradient, operand in zip(gradients, operands, strict=True)]
    _C.log_normal_backward(
        shape,
        batch_dims,
        _precise(z),
        torch.get_num_threads(),
        _upstream(grad_log_prob, z, reduction, batch_dims),
        _factor(z, reduction, batch_dims),
        _operand(z, shape),
        _operand(mu, shape),
        _operand(scale, shape),
        (_FORMS[parameterization], low, high, min_std, min_var),
        *(_operand(gradient, shape) for gradient in wide),
    )
    for whole, gradient in zip(wide, gradients, strict=True):
        _narrow(whole, gradient)
    return gradients


def _without(tensor: Tensor, dim: int) -> _C.Tensor:
    """A tensor whose dimension `dim` is the one a kernel loops over."""
    strides = tensor.stride()
    return tensor.data_ptr(), _DTYPES[tensor.dtype], (*strides[:dim], *strides[dim + 1 :]), strides[dim]


def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    bound = _outputs.importance_weighted_bound(log_w, dim)
    _C.importance_weighted_bound(
        bound.shape,
        _precise(log_w),
        torch.get_num_threads(),
        _without(log_w, dim),
        log_w.shape[dim],
        _operand(bound, bound.shape),
    )
    return bound


def importance_weighted_bound_backward(grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int) -> Tensor:
    grad_log_w = torch.empty_like(log_w)
    _C.importance_weighted_bound_backward(
        bound.shape,
        _precise(log_w),
        torch.get_num_threads(),
        _operand(grad_bound, bound.shape),
        _without(log_w, dim),
        _operand(bound, bound.shape),
        log_w.shape[dim],
        _without(grad_log_w, dim),
    )
    return grad_log_w
