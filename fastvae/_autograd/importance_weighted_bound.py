"""Autograd of the importance-weighted bound: its gradient is the normalized weight."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import Saved, differentiable


def _save(ctx: Any, args: tuple[Tensor, int], bound: Tensor) -> None:
    log_w, ctx.dim = args
    ctx.save_for_backward(log_w, bound)


def _backward(ctx: Any, saved: Saved, grad_bound: Tensor) -> tuple[Tensor | None, ...]:
    return _ops.importance_weighted_bound_backward(grad_bound, *saved(), ctx.dim), None


_apply = differentiable("importance_weighted_bound", _ops.importance_weighted_bound, _save, _backward)


def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    """logsumexp(log_w) - log K along `dim`."""
    result: Tensor = _apply(log_w, dim)
    return result
