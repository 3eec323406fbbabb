"""Autograd of `reparameterize_kl` and of its halves: backward regenerates eps from the seed."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import Saved, differentiable
from fastvae._noise import Noise
from fastvae._options import ScaleForm


def _run(*args: Any) -> Any:
    *operands, options = args
    return _ops.reparameterize_kl(*operands, *options)


def _used(operands: tuple[Any, ...], options: tuple[Any, ...]) -> tuple[bool, bool]:
    """Is there a z, is there a KL?"""
    return operands[4] is not None or operands[5] is not None, options[-2] is not None


def _save(ctx: Any, args: tuple[Any, ...], outputs: tuple[Tensor | None, Tensor | None]) -> None:
    """mu, scale, prior_mu, prior_scale, eps, seed, options."""
    *operands, ctx.options = args
    ctx.save_for_backward(*operands)
    ctx.set_materialize_grads(False)
    used = _used(args, ctx.options)
    if not all(used):
        unused = [output for output, there in zip(outputs, used, strict=True) if output is not None and not there]
        ctx.mark_non_differentiable(*unused)


def _backward(ctx: Any, saved: Saved, grad_z: Tensor | None, grad_kl: Tensor | None) -> tuple[Tensor | None, ...]:
    operands = saved()
    # AOTAutograd fills in zeros for the gradient of an output that has none.
    used_z, used_kl = _used(operands, ctx.options)
    grad_z, grad_kl = grad_z if used_z else None, grad_kl if used_kl else None
    if grad_z is None and grad_kl is None:
        return (None,) * 7
    gradients = _ops.reparameterize_kl_backward(grad_z, grad_kl, *operands, *ctx.options, ctx.needs_input_grad[:4])
    return (*gradients, None, None, None)


_apply = differentiable("reparameterize_kl", _run, _save, _backward)


def reparameterize_kl(
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    noise: Noise,
    num_samples: int | None,
    form: ScaleForm,
    reduction: str | None,
    batch_dims: int,
) -> tuple[Tensor, Tensor]:
    """(z, kl); z is empty without noise, kl without a reduction."""
    options = (num_samples, *form, reduction, batch_dims)
    result: tuple[Tensor, Tensor] = _apply(mu, scale, prior_mu, prior_scale, noise.eps, noise.seed, options)
    return result


def _run_packed(moments: Tensor, *args: Any) -> Any:
    *operands, packing, options = args
    return _ops.reparameterize_kl_packed(moments, *packing, *operands, *options)


def _save_packed(ctx: Any, args: tuple[Any, ...], outputs: tuple[Tensor, Tensor]) -> None:
    """moments, prior_mu, prior_scale, eps, seed, (dim, interleaved), options."""
    *operands, ctx.packing, ctx.options = args
    ctx.save_for_backward(*operands)
    ctx.set_materialize_grads(False)


def _backward_packed(
    ctx: Any, saved: Saved, grad_z: Tensor | None, grad_kl: Tensor | None
) -> tuple[Tensor | None, ...]:
    if grad_z is None and grad_kl is None:
        return (None,) * 7
    moments, *rest = saved()
    gradients = _ops.reparameterize_kl_packed_backward(
        grad_z, grad_kl, moments, *ctx.packing, *rest, *ctx.options, ctx.needs_input_grad[:3]
    )
    return (*gradients, None, None, None, None)


_apply_packed = differentiable("reparameterize_kl_packed", _run_packed, _save_packed, _backward_packed)


def reparameterize_kl_packed(
    moments: Tensor,
    dim: int,
    interleaved: bool,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    noise: Noise,
    num_samples: int | None,
    form: ScaleForm,
    reduction: str,
    batch_dims: int,
) -> tuple[Tensor, Tensor]:
    """(z, kl) of a packed encoder output; the gradient comes back packed."""
    packing, options = (dim, interleaved), (num_samples, *form, reduction, batch_dims)
    result: tuple[Tensor, Tensor] = _apply_packed(
        moments, prior_mu, prior_scale, noise.eps, noise.seed, packing, options
    )
    return result
