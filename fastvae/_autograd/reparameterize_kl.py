"""Autograd of `reparameterize_kl` and of its halves: backward regenerates eps from the seed."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import differentiable, optional
from fastvae._noise import Noise
from fastvae._options import ScaleForm


def _save(ctx: Any, args: tuple[Any, ...], outputs: tuple[Tensor | None, Tensor | None]) -> None:
    """Tensors first (mu, scale, prior_mu, prior_scale, eps, seed), options behind them."""
    ctx.save_for_backward(*args[:6])
    ctx.options = args[6:]
    ctx.set_materialize_grads(False)
    used = _used(args[4:6], args[-2])
    unused = [output for output, is_used in zip(outputs, used, strict=True) if output is not None and not is_used]
    if unused:
        ctx.mark_non_differentiable(*unused)


def _used(noise: tuple[Any, ...], reduction: str | None) -> tuple[bool, bool]:
    return any(source is not None for source in noise), reduction is not None


def _backward(
    ctx: Any, saved: tuple[Tensor, ...], grad_z: Tensor | None, grad_kl: Tensor | None
) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[:4]
    # AOTAutograd fills in zeros for the gradient of an output that has none.
    used_z, used_kl = _used(saved[4:6], ctx.options[-2])
    grad_z, grad_kl = grad_z if used_z else None, grad_kl if used_kl else None
    if grad_z is None and grad_kl is None:
        return (None,) * (6 + len(ctx.options))
    gradients = _ops.reparameterize_kl_backward(grad_z, grad_kl, *saved, *ctx.options, wanted)
    return (*map(optional, gradients, wanted), *(None,) * (2 + len(ctx.options)))


_apply = differentiable("reparameterize_kl", _ops.reparameterize_kl, _save, _backward)


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
    result: tuple[Tensor, Tensor] = _apply(
        mu, scale, prior_mu, prior_scale, noise.eps, noise.seed, num_samples, *form, reduction, batch_dims
    )
    return result


def _save_packed(ctx: Any, args: tuple[Any, ...], outputs: tuple[Tensor, Tensor]) -> None:
    """moments, (dim, interleaved), four tensors (prior_mu, prior_scale, eps, seed), options behind them."""
    ctx.save_for_backward(args[0], *args[3:7])
    ctx.packing, ctx.options = args[1:3], args[7:]
    ctx.set_materialize_grads(False)


def _backward_packed(
    ctx: Any, saved: tuple[Tensor, ...], grad_z: Tensor | None, grad_kl: Tensor | None
) -> tuple[Tensor | None, ...]:
    wanted = (ctx.needs_input_grad[0], *ctx.needs_input_grad[3:5])
    if grad_z is None and grad_kl is None:
        return (None,) * (7 + len(ctx.options))
    moments, *rest = saved
    gradients = _ops.reparameterize_kl_packed_backward(
        grad_z, grad_kl, moments, *ctx.packing, *rest, *ctx.options, wanted
    )
    grad_moments, *grad_prior = map(optional, gradients, wanted)
    return (grad_moments, None, None, *grad_prior, *(None,) * (2 + len(ctx.options)))


_apply_packed = differentiable(
    "reparameterize_kl_packed", _ops.reparameterize_kl_packed, _save_packed, _backward_packed
)


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
    result: tuple[Tensor, Tensor] = _apply_packed(
        moments, dim, interleaved, prior_mu, prior_scale, noise.eps, noise.seed, num_samples, *form, reduction,
        batch_dims,
    )  # fmt: skip
    return result
