"""Autograd of the Gaussian log-density."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import Saved, differentiable
from fastvae._options import ScaleForm


def _save(ctx: Any, args: tuple[Any, ...], output: Tensor) -> None:
    """Tensors first (z, mu, scale), options behind them."""
    ctx.save_for_backward(*args[:3])
    ctx.options = args[3:]


def _backward(ctx: Any, saved: Saved, grad_log_prob: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[:3]
    gradients = _ops.log_normal_backward(grad_log_prob, *saved(), *ctx.options, wanted)
    return (*gradients, *(None,) * len(ctx.options))


_apply = differentiable("log_normal", _ops.log_normal, _save, _backward)


def log_normal(
    z: Tensor, mu: Tensor | None, scale: Tensor | None, form: ScaleForm, reduction: str, batch_dims: int
) -> Tensor:
    """log N(z; mu, sigma^2), reduced; the standard normal without mu and scale."""
    result: Tensor = _apply(z, mu, scale, *form, reduction, batch_dims)
    return result
