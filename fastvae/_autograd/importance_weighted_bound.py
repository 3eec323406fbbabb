"""Autograd of the importance-weighted bound: its gradient is the normalized weight."""

from __future__ import annotations

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import Context, Op


class _Context(Context):
    saved_tensors: tuple[Tensor, Tensor]
    dim: int


class ImportanceWeightedBound(Op, name="importance_weighted_bound"):
    """logsumexp(log_w) - log K along `dim`."""

    @staticmethod
    def forward(log_w: Tensor, dim: int) -> Tensor:
        return _ops.importance_weighted_bound(log_w, dim)

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[Tensor, int], output: Tensor) -> None:
        log_w, ctx.dim = inputs
        ctx.save_for_backward(log_w, output)

    @staticmethod
    def backward(ctx: _Context, grad_bound: Tensor) -> tuple[Tensor | None, ...]:
        log_w, bound = ctx.saved_tensors
        return _ops.importance_weighted_bound_backward(grad_bound, log_w, bound, ctx.dim), None
