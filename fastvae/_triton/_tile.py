"""The tile of a program, `[rows, groups, lanes]`, and access to strided operands at it: device side of `_layout`."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def locate(tiling):
    """(row, column, lane, mask) of this program's elements; columns count groups where the tiling does."""
    row_block, chunk = block_of(tiling, program(tiling))
    return locate_at(tiling, row_block, chunk)


@triton.jit
def program(tiling):
    """The number of this program."""
    number = tl.program_id(0)
    return number.to(tl.int64) if tiling.wide else number


@triton.jit
def block_of(tiling, number):
    """(block of rows, chunk of their columns) of the program of this number."""
    if tiling.single:
        return number * 0, number
    else:
        return number // tiling.chunks, number % tiling.chunks


@triton.jit
def locate_at(tiling, row_block, chunk):
    """`locate` of a block of rows and a chunk of their columns."""
    row = row_block * tiling.tile_rows + tl.arange(0, tiling.tile_rows)[:, None, None]
    column = chunk * tiling.tile_groups + tl.arange(0, tiling.tile_groups)[None, :, None]
    lane = tl.arange(0, tiling.lanes)[None, None, :]
    if tiling.fold > 0:
        element = column * tiling.lanes + lane
        mask = (element < tiling.columns * tiling.fold) & (_unfolded(row, element, tiling) < tiling.rows)
    else:
        if not tiling.grouped:
            column = column * tiling.lanes + lane
        mask = column < tiling.columns
        if not tiling.single:
            mask = (row < tiling.rows) & mask
    return row, column, lane, mask


@triton.jit
def _unfolded(row, element, tiling):
    """The row of an element of a row of the tile, which may hold several."""
    if tiling.fold == 1:
        return row
    else:
        return row * tiling.fold + element // tiling.columns


@triton.jit
def _dot(index, sizes, strides):
    """The offset of a row-major `index` into `sizes`: its digits times the strides."""
    rank: tl.constexpr = len(sizes)
    offset = index * 0
    for dim in tl.static_range(rank - 1, 0, -1):
        offset += (index % sizes[dim]) * strides[dim]
        index = index // sizes[dim]
    return offset + index * strides[0]


@triton.jit
def units(steps, tiling, at):
    """The offset of each element's group (or of the element, where the operand has no groups), in units."""
    if tiling.fold > 0:
        if steps.unit == tiling.lanes:
            return at[0] * steps.row_strides[0] + at[1]
        else:
            element = at[1] * tiling.lanes + at[2]
            rows = _dot(_unfolded(at[0], element, tiling), tiling.row_sizes, steps.row_strides)
            if tiling.fold > 1:
                element = element % tiling.columns
            return rows + _dot(element, tiling.column_sizes, steps.column_strides)
    else:
        columns = _dot(at[1], tiling.column_sizes, steps.column_strides)
        if tiling.single:
            return columns
        else:
            return _dot(at[0], tiling.row_sizes, steps.row_strides) + columns


@triton.jit
def _from_start(steps, start, tiling, at):
    """The offset of each element's group in elements, `start` units further on."""
    offset = units(steps, tiling, at)
    if steps.further:
        offset += start
    return offset * steps.unit


@triton.jit
def offsets(steps, start, tiling, at):
    """The offset of each element, `start` units further on; one for a group where its lanes share it."""
    offset = _from_start(steps, start, tiling, at)
    if tiling.grouped and not steps.shared and (tiling.fold == 0 or steps.unit == tiling.lanes):
        offset += at[2] * steps.lane_stride
    return offset


@triton.jit
def convert(value, dtype: tl.constexpr):
    """`value` as `dtype`; between float64 and the halves through float32, a conversion that every device has."""
    if value.dtype == tl.bfloat16 or (value.dtype == tl.float64 and dtype != tl.float64):
        return value.to(tl.float32).to(dtype)
    else:
        return value.to(dtype)


@triton.jit
def from_bits(bits, dtype: tl.constexpr):
    """The float64 whose bits are an int64, as `dtype`."""
    return bits.to(tl.float64, bitcast=True).to(dtype)


@triton.jit
def load_at(operand, further, tiling, at, dtype: tl.constexpr):
    """The operand's elements, `further` elements on, as `dtype`; 0 outside the tile's mask."""
    if operand.steps.unit == 0:
        return convert(tl.load(operand.pointer + further), dtype)
    else:
        pointers = operand.pointer + further + offsets(operand.steps, operand.start, tiling, at)
        value = convert(tl.load(pointers, mask=at[3], other=0), dtype)
        if operand.steps.shared:
            value = tl.broadcast_to(value, (tiling.tile_rows, tiling.tile_groups, tiling.lanes))
        return value


@triton.jit
def load(operand, tiling, at, dtype: tl.constexpr):
    """The operand's elements as `dtype`; 0 outside the tile's mask."""
    return load_at(operand, 0, tiling, at, dtype)


@triton.jit
def store_at(operand, further, tiling, at, value):
    """Round `value` to the operand's dtype and store it, `further` elements on."""
    pointers = operand.pointer + further + offsets(operand.steps, operand.start, tiling, at)
    tl.store(pointers, convert(value, operand.pointer.dtype.element_ty), mask=at[3])


@triton.jit
def store(operand, tiling, at, value):
    """Round `value` to the operand's dtype and store it."""
    store_at(operand, 0, tiling, at, value)


@triton.jit
def _pointers_to_pairs(operand, tiling, at):
    pair = tl.arange(0, 2 * tiling.lanes)[None, None, :]
    return operand.pointer + _from_start(operand.steps, operand.start, tiling, at) + pair


@triton.jit
def load_both(first, second, tiling, at, dtype: tl.constexpr):
    """The elements of two operands, in one access where they alternate."""
    if first.steps.unit == 2 * tiling.lanes:
        both = tl.load(_pointers_to_pairs(first, tiling, at), mask=at[3], other=0)
        one, other = tl.split(tl.reshape(both, (tiling.tile_rows, tiling.tile_groups, tiling.lanes, 2)))
        return convert(one, dtype), convert(other, dtype)
    else:
        return load(first, tiling, at, dtype), load(second, tiling, at, dtype)


@triton.jit
def store_both(first, second, tiling, at, value, other):
    """Store to two operands, in one access where they alternate; None for one that is not wanted."""
    if first is None:
        if second is not None:
            store(second, tiling, at, other)
    elif first.steps.unit == 2 * tiling.lanes:
        both = tl.reshape(tl.join(value, other), (tiling.tile_rows, tiling.tile_groups, 2 * tiling.lanes))
        tl.store(_pointers_to_pairs(first, tiling, at), convert(both, first.pointer.dtype.element_ty), mask=at[3])
    else:
        store(first, tiling, at, value)
        if second is not None:
            store(second, tiling, at, other)


@triton.jit
def store_sums(partials, tiling, at, value):
    """One sum a row of the tile, into `partials[row, chunk]`."""
    present = tl.where(at[3], value, 0.0)
    if tiling.fold > 1:
        of = (at[1] * tiling.lanes + at[2]) // tiling.columns
        for folded in tl.static_range(tiling.fold):
            _store_row_sums(partials, tiling, tl.where(of == folded, present, 0.0), folded)
    else:
        _store_row_sums(partials, tiling, present, 0)


@triton.jit
def _store_row_sums(partials, tiling, value, folded: tl.constexpr):
    """The sums over the rows of the tile, which hold one row each, or the one numbered `folded` of several."""
    sums = tl.sum(tl.sum(value, axis=2), axis=1)
    row_block, chunk = block_of(tiling, program(tiling))
    row = row_block * tiling.tile_rows + tl.arange(0, tiling.tile_rows)
    if tiling.fold > 1:
        row = row * tiling.fold + folded
    tl.store(partials + row.to(tl.int64) * tiling.chunks + chunk, sums, mask=row < tiling.rows)


@triton.jit
def store_feature_sums(operand, tiling, at, value):
    """One sum a column of the tile, over its rows, into `operand`: the first of `[blocks of rows, *columns]`."""
    sums = tl.sum(tl.where(at[3], value, 0.0), axis=0, keep_dims=True)
    columns = tiling.columns * tiling.lanes if tiling.grouped else tiling.columns
    further = (tl.program_id(0) // tiling.chunks).to(tl.int64) * columns
    first = tl.zeros((1, 1, 1), tl.int32)
    pointers = operand.pointer + further + offsets(operand.steps, operand.start, tiling, (first, at[1], at[2]))
    tl.store(pointers, sums, mask=at[1] < tiling.columns)
