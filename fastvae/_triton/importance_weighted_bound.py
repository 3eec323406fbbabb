"""log (1/K) sum_k exp(log_w_k) on the device, in one pass over the K samples of each row."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._triton import _launch, _layout, _tile
from fastvae._triton.elementary import exp, log

_STRIDED_WIDTH = 32
"""Samples read side by side where they do not lie side by side: rows then do, and share memory sectors."""


@triton.jit
def _finite(bound):
    """What an exponent is taken relative to: 0 in place of an infinity, whose difference would be NaN."""
    return tl.where(tl.abs(bound) == float("inf"), 0.0, bound)


@triton.jit(do_not_specialize=["count"])
def _forward(log_w, bound, tiling, count, dtype: tl.constexpr):
    row_block = tl.program_id(0)
    if tiling.wide:
        row_block = row_block.to(tl.int64)
    greatest = tl.full((tiling.tile_rows, 1, 1), -float("inf"), dtype)
    total = tl.zeros((tiling.tile_rows, 1, 1), dtype)
    chunk = row_block * 0
    while chunk < tiling.chunks:
        at = _tile.locate_at(tiling, row_block, chunk)
        w = tl.where(at[3], _tile.load(log_w, tiling, at, dtype), -float("inf"))
        here = tl.max(tl.max(w, axis=2, keep_dims=True), axis=1, keep_dims=True)
        previous = greatest
        greatest = tl.where(here > previous, here, previous)
        base = _finite(greatest)
        terms = tl.sum(tl.sum(exp(w - base), axis=2, keep_dims=True), axis=1, keep_dims=True)
        total = total * exp(previous - base) + terms
        chunk += 1
    row = row_block * tiling.tile_rows + tl.arange(0, tiling.tile_rows)[:, None, None]
    result = _finite(greatest) + log(total / count.to(dtype))
    tl.store(bound + row.to(tl.int64), result, mask=row < tiling.rows)


@triton.jit(do_not_specialize=["count"])
def _backward(log_w, upstream, bound, grad, tiling, count, dtype: tl.constexpr):
    at = _tile.locate(tiling)
    weight = exp(_tile.load(log_w, tiling, at, dtype) - _tile.load(bound, tiling, at, dtype)) / count.to(dtype)
    _tile.store(grad, tiling, at, _tile.load(upstream, tiling, at, dtype) * weight)


def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    """logsumexp(log_w) - log K along `dim`."""
    bound = _outputs.importance_weighted_bound(log_w, dim)
    if bound.numel():
        rows_first = log_w.movedim(dim, -1)
        widest = None if rows_first.stride(-1) == 1 else _STRIDED_WIDTH
        plan = _layout.plan(
            tuple(rows_first.shape), (rows_first.stride(),), log_w.dim() - 1, _launch.block(log_w), widest
        )
        _launch.run(
            _forward,
            plan.programs // plan.tiling.chunks,
            log_w,
            _launch.operand(rows_first, plan.steps[0]),
            bound,
            plan.tiling,
            log_w.shape[dim],
            dtype=_launch.kernel_dtype(log_w),
        )
    return bound


def importance_weighted_bound_backward(grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int) -> Tensor:
    """The normalized importance weight times the upstream gradient."""
    (grad,) = _outputs.gradients((True,), log_w)
    if log_w.numel():
        plan, operands = _launch.operands(
            (log_w, *(value.unsqueeze(dim).expand(log_w.shape) for value in (grad_bound, bound)), grad), 0
        )
        _launch.run(
            _backward,
            plan.programs,
            log_w,
            *operands,
            plan.tiling,
            log_w.shape[dim],
            dtype=_launch.kernel_dtype(log_w),
        )
    return grad
