"""log (1/K) sum_k exp(log_w_k) on the device, and its gradient: the weights divided by their sum."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._triton import _launch, _layout, _tile
from fastvae._triton._layout import Plan
from fastvae._triton.elementary import exp, log

_STRIDED_WIDTH = 32
"""Samples read side by side where they do not lie side by side: rows then do, and share memory sectors."""


@triton.jit
def _sum_of_weights(log_w, tiling, row_block, dtype: tl.constexpr):
    """(base, sum_k exp(log_w_k - base)) of each row, `base` the greatest log_w, or 0 where that is infinite."""
    greatest = tl.full((tiling.tile_rows, 1, 1), -float("inf"), dtype)
    base = tl.zeros((tiling.tile_rows, 1, 1), dtype)
    total = tl.zeros((tiling.tile_rows, 1, 1), dtype)
    chunk = row_block * 0
    while chunk < tiling.chunks:
        at = _tile.locate_at(tiling, row_block, chunk)
        w = tl.where(at[3], _tile.load(log_w, tiling, at, dtype), -float("inf"))
        here = tl.max(tl.max(w, axis=2, keep_dims=True), axis=1, keep_dims=True)
        previous = greatest
        greatest = tl.where(here > previous, here, previous)
        base = tl.where(tl.abs(greatest) == float("inf"), 0.0, greatest)
        terms = tl.sum(tl.sum(exp(w - base), axis=2, keep_dims=True), axis=1, keep_dims=True)
        total = total * exp(previous - base) + terms
        chunk += 1
    return base, total


@triton.jit
def _row_block(tiling):
    row_block = tl.program_id(0)
    return row_block.to(tl.int64) if tiling.wide else row_block


@triton.jit(do_not_specialize=["count"])
def _forward(log_w, bound, tiling, count, dtype: tl.constexpr):
    row_block = _row_block(tiling)
    base, total = _sum_of_weights(log_w, tiling, row_block, dtype)
    row = row_block * tiling.tile_rows + tl.arange(0, tiling.tile_rows)[:, None, None]
    tl.store(bound + row.to(tl.int64), base + log(total / count.to(dtype)), mask=row < tiling.rows)


@triton.jit
def _backward(log_w, upstream, grad, tiling, dtype: tl.constexpr):
    row_block = _row_block(tiling)
    base, total = _sum_of_weights(log_w, tiling, row_block, dtype)
    chunk = row_block * 0
    while chunk < tiling.chunks:
        at = _tile.locate_at(tiling, row_block, chunk)
        weight = exp(_tile.load(log_w, tiling, at, dtype) - base) / total
        _tile.store(grad, tiling, at, _tile.load(upstream, tiling, at, dtype) * weight)
        chunk += 1


def _plan(dim: int, *tensors: Tensor) -> tuple[Plan, list[_layout.Operand]]:
    """Rows of samples: `dim` last, everything before it a row."""
    samples_last = [tensor.movedim(dim, -1) for tensor in tensors]
    shape, strides = samples_last[0].shape, tuple(tensor.stride() for tensor in samples_last)
    widest = None if strides[0][-1] == 1 else _STRIDED_WIDTH
    plan = _layout.plan(tuple(shape), strides, len(shape) - 1, _launch.block(tensors[0]), widest)
    return plan, [_launch.operand(*pair) for pair in zip(samples_last, plan.steps, strict=True)]


def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    """logsumexp(log_w) - log K along `dim`."""
    bound = _outputs.importance_weighted_bound(log_w, dim)
    if bound.numel():
        plan, operands = _plan(dim, log_w)
        programs, dtype = plan.programs // plan.tiling.chunks, _launch.kernel_dtype(log_w)
        _launch.run(_forward, programs, log_w, *operands, bound, plan.tiling, log_w.shape[dim], dtype=dtype)
    return bound


def importance_weighted_bound_backward(grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int) -> Tensor:
    """The normalized importance weight times the upstream gradient.

    Summed anew: the rounding of a large `bound` would be an error of the whole weight.
    """
    grad = torch.empty_like(log_w)
    if log_w.numel():
        plan, operands = _plan(dim, log_w, grad_bound.unsqueeze(dim).expand(log_w.shape), grad)
        programs, dtype = plan.programs // plan.tiling.chunks, _launch.kernel_dtype(log_w)
        _launch.run(_backward, programs, log_w, *operands, plan.tiling, dtype=dtype)
    return grad
