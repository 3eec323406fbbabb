"""Sizes and strides of operands in the fewest dimensions, and how programs cover them: the host side of `_tile`.

An op walks its elements as rows by columns: a row is a sample, or everything where no sum per sample is wanted.
Neighbouring dimensions that all operands step through alike become one, so that contiguous tensors have one column
dimension of stride 1, and any other view is read in place.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import triton.language as tl
from torch import Tensor

LANES: Final = 4
"""The least elements of a group: what the noise contract makes of one counter, and the least a vector load takes."""

_INT32_ELEMENTS: Final = 2**31 - 2**20


class Tiling(NamedTuple):
    """How programs share the elements.

    There may be a `single` row. Offsets are int32 but in `wide` tensors. Columns count groups of `lanes`, four or
    eight, where `grouped`, else elements. Where rows are no whole number of groups, but some operands go on from row to
    row, a row of the tile may hold `fold` rows, whose groups straddle them: columns then count the elements of one.
    Rows are `split` where one takes several chunks.
    """

    rows: int
    columns: int
    chunks: int
    single: Any
    row_sizes: tuple[int, ...]
    column_sizes: tuple[Any, ...]
    tile_rows: Any
    tile_groups: Any
    lanes: Any
    grouped: Any
    fold: Any
    wide: Any
    split: Any


class Steps(NamedTuple):
    """The strides of one operand, in units of `unit` elements; a unit of 0 is one value for all.

    A unit of as many as the tiling has lanes tells the compiler what a stride such as 20 does not: every group starts
    on a group's boundary, the first maybe `further` on than the pointer. The lanes of a group may be `shared` by one
    value. A unit of twice as many is a group of pairs: elements alternate with those of the next operand, and both are
    accessed at once.
    """

    row_strides: tuple[int, ...]
    column_strides: tuple[int, ...]
    lane_stride: int
    unit: Any
    shared: Any
    further: Any = tl.constexpr(False)


class Operand(NamedTuple):
    """A tensor, the offset of its first element in units, and its strides, as kernels take them."""

    pointer: Tensor
    start: int
    steps: Steps


class Plan(NamedTuple):
    """A tiling, the steps of each operand, and the number of programs."""

    tiling: Tiling
    steps: tuple[Steps, ...]
    programs: int


def _divisor(size: int) -> Any:
    """A size that indices are divided by: a power of two is known to the compiler, which shifts instead."""
    return size if size & (size - 1) else tl.constexpr(size)


def _extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """How many elements further than its first one an operand's last one is, or how many it has where that is more."""
    return max(math.prod(shape), sum((size - 1) * abs(stride) for size, stride in zip(shape, strides, strict=True)))


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of the logical, row-major index of an element."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides[: len(shape)]))


@functools.lru_cache(maxsize=4096)
def plan(
    shape: tuple[int, ...],
    strides: tuple[tuple[int, ...], ...],
    row_dims: int,
    block: int,
    widest: int | None = None,
    *,
    foldable: bool = False,
    paired: tuple[int, ...] = (),
    lanes: int = LANES,
) -> Plan:
    """Tile `shape`, whose first `row_dims` dimensions are rows, in blocks of `block` elements.

    Args:
        shape: the common shape, without a zero.
        strides: one tuple an operand, in elements; the first one decides the order in which columns are walked.
        row_dims: 0 for one row.
        block: elements a program covers, a power of two.
        widest: columns a program covers at most, a power of two.
        foldable: may groups straddle rows?
        paired: the operands whose elements alternate with those of the next one, where their strides allow it.
        lanes: elements of a group, four or eight: eight of a half are a vector load. They are four where not all
            strides that are whole groups of four are of eight too; where rows fold; and where elements alternate, of
            which four pairs are a vector load.
    """
    row_sizes, row_strides = _collapse(shape[:row_dims], [operand[:row_dims] for operand in strides])
    sizes, column_strides = _collapse(*_memory_order(shape[row_dims:], [operand[row_dims:] for operand in strides]))
    rows, columns = math.prod(row_sizes), math.prod(sizes)
    operands = list(zip(row_strides, column_strides, strict=True))
    if paired or sizes[-1] % lanes or any(_in_groups(*each, LANES) > _in_groups(*each, lanes) for each in operands):
        lanes = LANES
    grouped = sizes[-1] % lanes == 0
    fold = 0
    if foldable and not grouped and rows * columns % LANES == 0:
        straddles = any(_contiguous_across_rows(*operand, row_sizes, sizes) for operand in operands)
        fold = LANES // math.gcd(columns, LANES) if straddles else 0
    length = columns * max(fold, 1)
    width = block if row_dims == 0 else min(widest or block, max(LANES, 1 << (length - 1).bit_length()))
    chunks = -(-length // width)
    tile_rows = 1 if row_dims == 0 else block // width
    if grouped:
        columns, sizes = columns // lanes, (*sizes[:-1], sizes[-1] // lanes)
    tiling = Tiling(
        rows,
        columns,
        chunks,
        tl.constexpr(row_dims == 0),
        row_sizes,
        (sizes[0], *map(_divisor, sizes[1:])),
        tl.constexpr(tile_rows),
        tl.constexpr(width // lanes),
        tl.constexpr(lanes),
        tl.constexpr(grouped or fold > 0),
        tl.constexpr(fold),
        tl.constexpr(max(_extent(shape, operand) for operand in strides) >= _INT32_ELEMENTS),
        tl.constexpr(chunks > 1),
    )
    if fold:
        by_group = _make_steps((length // LANES,), (1,), 1, LANES)
        steps = tuple(
            by_group if _contiguous_across_rows(*operand, row_sizes, sizes) else _steps(*operand, 0)
            for operand in operands
        )
    else:
        of_group = lanes if grouped else 0
        steps = tuple(_steps(*operand, of_group, index in paired) for index, operand in enumerate(operands))
    return Plan(tiling, steps, -(-rows // (tile_rows * max(fold, 1))) * chunks)


def _memory_order(
    sizes: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[Sequence[int], Sequence[Sequence[int]]]:
    """The dimensions in the order of the first operand's strides, the largest first."""
    order = sorted(range(len(sizes)), key=lambda dim: -strides[0][dim])
    return [sizes[dim] for dim in order], [[operand[dim] for dim in order] for operand in strides]


def _collapse(sizes: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Merge each dimension into its left neighbour where all operands step through both as through one."""
    merged_sizes: list[int] = []
    merged: list[list[int]] = [[] for _ in strides]
    for dim, size in enumerate(sizes):
        if size == 1:
            continue
        if merged_sizes and all(
            steps[-1] == operand[dim] * size for steps, operand in zip(merged, strides, strict=True)
        ):
            merged_sizes[-1] *= size
            for steps, operand in zip(merged, strides, strict=True):
                steps[-1] = operand[dim]
        else:
            merged_sizes.append(size)
            for steps, operand in zip(merged, strides, strict=True):
                steps.append(operand[dim])
    if not merged_sizes:
        return (1,), [(0,) for _ in strides]
    return tuple(merged_sizes), [tuple(steps) for steps in merged]


def _steps(row_strides: tuple[int, ...], column_strides: tuple[int, ...], lanes: int, paired: bool = False) -> Steps:
    """Of an operand, by groups of so many elements where the tiling counts any."""
    *outer, inner = column_strides
    if not any((*row_strides, *column_strides)):
        return _make_steps(row_strides, column_strides, 0, 0)
    if not lanes:
        return _make_steps(row_strides, column_strides, 0, 1)
    unit = inner * lanes
    if _in_groups(row_strides, column_strides, lanes, paired):
        by_group = tuple(stride // unit for stride in row_strides), tuple(stride // unit for stride in outer)
        return _make_steps(by_group[0], (*by_group[1], 1), inner, unit)
    return _make_steps(row_strides, (*outer, unit), inner, 1, shared=inner == 0)


def _in_groups(row_strides: tuple[int, ...], column_strides: tuple[int, ...], lanes: int, paired: bool = False) -> bool:
    """Are so many elements, or pairs of elements, without gaps wherever a group begins, a whole number of them on?"""
    *outer, inner = column_strides
    in_line = inner == 1 or (inner == 2 and paired)
    return in_line and not any(stride % (inner * lanes) for stride in (*row_strides, *outer))


def _contiguous_across_rows(
    row_strides: tuple[int, ...], column_strides: tuple[int, ...], row_sizes: tuple[int, ...], sizes: tuple[int, ...]
) -> bool:
    """Is an operand contiguous across rows too?"""
    _, (steps,) = _collapse((*row_sizes, *sizes), [(*row_strides, *column_strides)])
    return steps == (1,)


def _make_steps(
    row_strides: tuple[int, ...], column_strides: tuple[int, ...], lane_stride: int, unit: int, *, shared: bool = False
) -> Steps:
    return Steps(row_strides, column_strides, lane_stride, tl.constexpr(unit), tl.constexpr(shared))
