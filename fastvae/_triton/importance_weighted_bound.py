"""log (1/K) sum_k exp(log_w_k) on the device, and its gradient: the weights divided by their sum."""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._triton import _tile
from fastvae._triton._launch import Kernel
from fastvae._triton._layout import Plan
from fastvae._triton.exponential import exp
from fastvae._triton.logarithm import log

_STRIDED_WIDTH = 32
"""Columns of a program where the stride between samples is not 1: it then covers more rows, whose elements share memory
sectors."""


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


@triton.jit(do_not_specialize=["count"])
def _forward(log_w, bound, tiling, count, dtype: tl.constexpr):
    row_block = _tile.program(tiling)
    base, total = _sum_of_weights(log_w, tiling, row_block, dtype)
    row = row_block * tiling.tile_rows + tl.arange(0, tiling.tile_rows)[:, None, None]
    tl.store(bound + row.to(tl.int64), base + log(total / count.to(dtype)), mask=row < tiling.rows)


@triton.jit
def _backward(log_w, upstream, grad, tiling, dtype: tl.constexpr):
    row_block = _tile.program(tiling)
    base, total = _sum_of_weights(log_w, tiling, row_block, dtype)
    chunk = row_block * 0
    while chunk < tiling.chunks:
        at = _tile.locate_at(tiling, row_block, chunk)
        weight = exp(_tile.load(log_w, tiling, at, dtype) - base) / total
        _tile.store(grad, tiling, at, _tile.load(upstream, tiling, at, dtype) * weight)
        chunk += 1


def _row_blocks(plan: Plan) -> int:
    """A program walks over all chunks of its rows."""
    return plan.programs // plan.tiling.chunks


_FORWARD: Final = Kernel(_forward, pointers=1, programs=_row_blocks)
_BACKWARD: Final = Kernel(_backward, programs=_row_blocks)


def _rows(dim: int, *tensors: Tensor) -> tuple[list[Tensor], int, int | None]:
    """The operands with `dim` last, everything before it a row, and the columns that a program covers at most."""
    samples_last = [tensor.movedim(dim, -1) for tensor in tensors]
    side_by_side = samples_last[0].stride(-1) == 1
    return samples_last, tensors[0].dim() - 1, None if side_by_side else _STRIDED_WIDTH


def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    """logsumexp(log_w) - log K along `dim`."""
    bound = _outputs.importance_weighted_bound(log_w, dim)
    if bound.numel():
        operands, row_dims, widest = _rows(dim, log_w)
        _, launch = _FORWARD.over(operands, row_dims, log_w.shape[dim], widest=widest)
        launch(*operands, bound)
    return bound


def importance_weighted_bound_backward(grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int) -> Tensor:
    """The normalized importance weight times the upstream gradient.

    Summed anew: the rounding of a large `bound` would be an error of the whole weight.
    """
    grad = torch.empty_like(log_w)
    if log_w.numel():
        upstream = grad_bound.unsqueeze(dim).expand(log_w.shape)
        operands, row_dims, widest = _rows(dim, log_w, upstream, grad)
        _, launch = _BACKWARD.over(operands, row_dims, widest=widest)
        launch(*operands)
    return grad
