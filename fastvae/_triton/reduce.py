"""The second stage of sums: partial sums added in a fixed order, in float64, without atomics."""

from __future__ import annotations

import functools
import math
from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae._options import reduction_scale
from fastvae._outputs import compute_dtype
from fastvae._triton import _operands, _tile
from fastvae._triton._launch import Launch, compile_options
from fastvae._triton._layout import Plan

ONE: Final = _operands.float_bits(1.0)

_SEGMENT: Final = 8192
_WIDTH: Final = 1024
_THREADS: Final = 128


@triton.jit(do_not_specialize=["factor"])
def _add_segments(partials, sums, count, length, factor, width: tl.constexpr):
    segment = tl.program_id(0).to(tl.int64)
    start = segment * length
    end = start + length
    end = tl.where(end < count, end, count)
    total = tl.zeros((width,), tl.float64)
    while start < end:
        index = start + tl.arange(0, width)
        total += tl.load(partials + index, mask=index < end, other=0.0).to(tl.float64)
        start += width
    result = tl.sum(total, axis=0) * _tile.from_bits(factor, tl.float64)
    tl.store(sums + segment, _tile.convert(result, sums.dtype.element_ty))


def _add(partials: Tensor, sums: Tensor, length: int, factor: int) -> None:
    dtypes, counts = (partials.dtype, sums.dtype), (partials.numel(), sums.numel())
    _addition(dtypes, sums.get_device(), *counts, length, factor)(partials, sums)


@functools.lru_cache(maxsize=4096)
def _addition(
    dtypes: tuple[torch.dtype, torch.dtype], device: int, count: int, segments: int, length: int, factor: int
) -> Launch:
    """The launch for sums of `segments`, each of `length`, of `count` terms; dtypes and device are what it is for."""
    width = min(_WIDTH, triton.next_power_of_2(length))
    options = compile_options(_THREADS, all_registers=True)
    return Launch(_add_segments, segments, (None, None), (count, length, factor, width), **options)


def partial_sums(plan: Plan, out: Tensor, reduction: str) -> Tensor:
    """Where the programs of `plan` leave one sum a row and chunk: `out` itself where those are its samples."""
    if reduction == "sample" and plan.tiling.chunks == 1:
        return out.view(-1, 1)
    return out.new_empty((plan.tiling.rows, plan.tiling.chunks), dtype=compute_dtype(out))


def samples(partials: Tensor, out: Tensor) -> None:
    """Sum `partials [rows, chunks]` over chunks into the contiguous `out`, one a row."""
    if partials.data_ptr() != out.data_ptr():
        _add(partials, out, partials.shape[1], ONE)


def total(partials: Tensor, out: Tensor, factor: int) -> None:
    """Sum all of `partials` into the scalar `out`, times the bits `factor`."""
    while partials.numel() > _SEGMENT:
        sums = partials.new_empty(math.ceil(partials.numel() / _SEGMENT), dtype=torch.float64)
        _add(partials, sums, _SEGMENT, ONE)
        partials = sums
    _add(partials, out, partials.numel(), factor)


def finish(partials: Tensor, out: Tensor, reduction: str, shape: torch.Size, batch_dims: int) -> None:
    """Reduce the partial sums over elements of `shape` into `out`."""
    if reduction == "sample":
        samples(partials, out)
    else:
        total(partials, out, _operands.factor(reduction, shape, batch_dims))


def of_nothing(out: Tensor, reduction: str, batch: int) -> None:
    """The reduction of no elements: 0, or NaN where nothing is averaged over nothing."""
    out.fill_(0.0 * reduction_scale(reduction, 0, batch))
