"""Sums over the programs of a launch, in a fixed order and in float64, finished by the last program to arrive.

A program leaves its sum in memory and counts itself. Whoever finds that all others of its group have arrived adds the
sums of the group, and the last of all groups adds those: no second launch, no atomics on floating point, and the same
bits whichever comes last. The sums of a row that several programs share are added likewise.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae._options import reduction_scale
from fastvae._triton import _arrivals, _tile
from fastvae._triton._layout import Plan

GROUP: Final = tl.constexpr(512)
"""The programs of a group: no more sums than a program of 64 threads loads at once."""


@triton.jit
def add(samples, total, partials, tiling, at, value, factor=None):
    """Leave the sums of the tile: of each row for `samples`, and of all, times the bits `factor`, for `total`."""
    if samples is not None:
        if tiling.split:
            _tile.store_sums(_of_rows(partials, total), tiling, at, value)
        else:
            _tile.store_sums(samples, tiling, at, value)
    if total is not None:
        present = tl.where(at[3], value, 0.0)
        whole = tl.sum(tl.sum(tl.sum(present, axis=2), axis=1), axis=0)
        whole = whole.to(tl.float64)
        if factor is not None:
            whole = whole * _tile.from_bits(factor, tl.float64)
        if partials is None:
            tl.store(total, _tile.convert(whole, total.dtype.element_ty))
        else:
            tl.store(partials + tl.program_id(0), whole)


@triton.jit
def finish(
    counters, tiling, samples, total, partials, second_total=None, second_partials=None, third_total=None,
    third_partials=None,
):  # fmt: skip
    """Once everything is left: where this program is the last to arrive, add it up.

    The first sum may have `samples` and a `total`, a second and a third one a total.
    """
    if counters is not None:
        # What other threads of the program left is ordered before the count of the one that counts.
        tl.debug_barrier()
        groups = tl.cdiv(tl.num_programs(0), GROUP)
        if samples is not None and tiling.split:
            fold: tl.constexpr = tiling.fold if tiling.fold > 1 else 1
            _finish_rows(
                counters + groups + 1, samples, _of_rows(partials, total), tiling.rows, tiling.chunks,
                tiling.tile_rows * fold,
            )  # fmt: skip
        if total is not None or second_total is not None or third_total is not None:
            group = tl.program_id(0) // GROUP
            members = tl.minimum(tl.num_programs(0) - group * GROUP, GROUP)
            if _is_last(counters + group, members):
                _finish_group(total, partials, group, members, groups)
                _finish_group(second_total, second_partials, group, members, groups)
                _finish_group(third_total, third_partials, group, members, groups)
                if groups > 1:
                    tl.debug_barrier()
                    if _is_last(counters + groups, groups):
                        _finish_all(total, partials, groups)
                        _finish_all(second_total, second_partials, groups)
                        _finish_all(third_total, third_partials, groups)


@triton.jit
def _is_last(counter, expected):
    """Count this program; whether it is the last of those expected, which leaves the counter at 0 for the next launch.

    The count releases what was left before it and acquires what the others left before theirs.
    """
    last = tl.atomic_add(counter, 1, sem="acq_rel", scope="gpu") == expected - 1
    if last:
        tl.store(counter, 0)
    return last


@triton.jit
def _of_rows(partials, total):
    """Where the sums of rows begin: behind those of programs and of groups, where there are any."""
    if total is None:
        return partials
    else:
        return partials + tl.num_programs(0) + tl.cdiv(tl.num_programs(0), GROUP)


@triton.jit
def _added(partials, count):
    """The sum of `count` terms. The first GROUP of them, mostly all, are on their way before one is awaited."""
    total = tl.zeros((GROUP,), tl.float64)
    if count > 0:  # always: ptxas keeps the loads of a branch together, which else it spreads to save registers
        total = _terms(partials, 0, count)
    start = GROUP
    while start < count:
        total += _terms(partials, start, count)
        start += GROUP
    return tl.sum(total, axis=0)


@triton.jit
def _terms(partials, start, count):
    """`.cg` reads from the cache that multiprocessors share: another one wrote."""
    index = start + tl.arange(0, GROUP)
    return tl.load(partials + index, mask=index < count, other=0.0, cache_modifier=".cg")


@triton.jit
def _finish_group(total, partials, group, members, groups):
    if total is not None:
        added = _added(partials + group * GROUP, members)
        if groups == 1:
            tl.store(total, _tile.convert(added, total.dtype.element_ty))
        else:
            tl.store(partials + tl.num_programs(0) + group, added)


@triton.jit
def _finish_all(total, partials, groups):
    if total is not None:
        added = _added(partials + tl.num_programs(0), groups)
        tl.store(total, _tile.convert(added, total.dtype.element_ty))


@triton.jit
def _finish_rows(counters, samples, partials, count, chunks, rows: tl.constexpr):
    """The sums of a block of rows over their chunks, `partials[row, chunk]`, by the last program of the block.

    Programs are numbered by blocks, then by chunks. What they left is to be behind a barrier.
    """
    block = tl.program_id(0) // chunks
    if _is_last(counters + block, chunks):
        width: tl.constexpr = GROUP // rows if rows < GROUP else 1
        row = block * rows + tl.arange(0, rows)
        first = partials + row.to(tl.int64)[:, None] * chunks
        total = tl.zeros((rows, width), tl.float64)
        start = 0
        while start < chunks:
            chunk = start + tl.arange(0, width)[None, :]
            present = (row < count)[:, None] & (chunk < chunks)
            total += tl.load(first + chunk, mask=present, other=0.0, cache_modifier=".cg")
            start += width
        sums = _tile.convert(tl.sum(total, axis=1), samples.dtype.element_ty)
        tl.store(samples + row, sums, mask=row < count)


class Sums(NamedTuple):
    """What a kernel takes of one sum: where its results go, None where not wanted, and memory for what programs leave
    there, None where one program finishes all."""

    samples: Tensor | None
    total: Tensor | None
    partials: Tensor | None


def sums(plan: Plan, samples: Tensor | None, total: Tensor | None) -> Sums:
    """One sum over the elements of `plan`: into `samples`, one a row of the plan, and into the scalar `total`."""
    programs, chunks = plan.programs, plan.tiling.chunks
    count = 0 if total is None or programs == 1 else programs + _groups(plan)
    if samples is not None and chunks > 1:
        count += plan.tiling.rows * chunks
    of = total if samples is None else samples
    return Sums(samples, total, of.new_empty(count, dtype=torch.float64) if count and of is not None else None)


def counters(plan: Plan, *several: Sums) -> Tensor | None:
    """What programs count themselves in, at 0; None where no sum is left in parts."""
    for each in several:
        if each.partials is not None:
            rows = 0 if each.samples is None else plan.programs // plan.tiling.chunks
            return _arrivals.counters(each.partials, _groups(plan) + 1 + rows)
    return None


def _groups(plan: Plan) -> int:
    return -(-plan.programs // int(GROUP.value))


def of_nothing(out: Tensor, reduction: str, batch: int) -> None:
    """The reduction of no elements: 0, or NaN where nothing is averaged over nothing."""
    out.fill_(0.0 * reduction_scale(reduction, 0, batch))
