"""Instructions on bits. A table: from modifiers and type to a function, and where they differ the operands' types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simt.formats import Format

Array = NDArray[Any]


def _left(value: Array, by: Array, bits: int) -> Array:
    """Shifted by any number of bits."""
    return np.where(by < bits, value << np.minimum(by, bits - 1).astype(value.dtype), 0).astype(value.dtype)


def _right(value: Array, by: Array, bits: int) -> Array:
    """Shifted by any number of bits: copies of the sign come in."""
    last = value >> np.minimum(by, bits - 1).astype(value.dtype)
    return np.where(by < bits, last, 0).astype(value.dtype) if value.dtype.kind == "u" else last


def _field(value: Array, start: Array, length: Array) -> Array:
    """The bits from `start` on, extended by the highest of them where the type is signed."""
    wide = value.astype(np.int64 if value.dtype.kind == "i" else np.uint64)
    start, length = start & 255, length & 255
    left = 64 - np.minimum(start + length, 64)
    return np.where(length == 0, 0, _right(_left(wide, left, 64), left + start, 64)).astype(value.dtype)


def _inserted(field: Array, into: Array, start: Array, length: Array) -> Array:
    """`into` with the low bits of `field` from `start` on."""
    bits = 8 * into.dtype.itemsize
    start, length = start & 255, length & 255
    ones = ~_left(~(into ^ into), length, bits)
    mask = _left(ones, start, bits)
    return (into & ~mask) | (_left(field, start, bits) & mask)


def _permuted(a: Array, b: Array, selectors: Array) -> Array:
    """Four of eight bytes; the sign of a byte, repeated, where bit 3 of its selector is set."""
    both = a.astype(np.uint64) | (b.astype(np.uint64) << np.uint64(32))
    result = np.zeros(np.broadcast_shapes(a.shape, b.shape, selectors.shape), np.uint32)
    for place in range(4):
        selector = (selectors >> np.uint32(4 * place)) & np.uint32(15)
        byte = (both >> (np.uint64(8) * (selector & np.uint32(7)).astype(np.uint64))).astype(np.uint32) & np.uint32(255)
        sign = np.where(byte >> np.uint32(7), np.uint32(255), np.uint32(0))
        result |= np.where(selector >> np.uint32(3), sign, byte) << np.uint32(8 * place)
    return result


def _funnel(modifiers: tuple[str, ...], kind: Format) -> Any:
    """The upper (l) or lower (r) word of two, shifted together."""

    def shifted(low: Array, high: Array, by: Array) -> Array:
        by = (by & np.uint32(31) if "wrap" in modifiers else np.minimum(by, 32)).astype(np.uint64)
        both = low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
        if "l" in modifiers:
            return ((both << by) >> np.uint64(32)).astype(np.uint32)
        return (both >> by).astype(np.uint32)

    return shifted


def _of_three(a: Array, b: Array, c: Array, table: Array) -> Array:
    """Any function of three bits, by its table."""
    found = np.zeros(np.broadcast_shapes(a.shape, b.shape, c.shape), a.dtype)
    for row in range(8):
        if int(table[0]) >> row & 1:
            found |= (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
    return found


def _reversed(value: Array) -> Array:
    bytes_first = np.ascontiguousarray(value.byteswap()).view(np.uint8)
    return np.packbits(np.unpackbits(bytes_first, bitorder="little")).view(value.dtype)


def _leading_zeros(value: Array) -> Array:
    length, rest = np.zeros(value.shape, np.uint32), value
    while rest.any():
        length += rest != 0
        rest = rest >> np.asarray(1, value.dtype)
    return 8 * value.dtype.itemsize - length.astype(np.uint32)


_COUNT = (None,), "u32"
BIT_INSTRUCTIONS: dict[str, Callable[[tuple[str, ...], Format], Any]] = {
    "and": lambda modifiers, kind: np.bitwise_and,
    "or": lambda modifiers, kind: np.bitwise_or,
    "xor": lambda modifiers, kind: np.bitwise_xor,
    "not": lambda modifiers, kind: np.invert,
    "cnot": lambda modifiers, kind: lambda a: (a == 0).astype(a.dtype),
    "shl": lambda modifiers, kind: ((lambda a, by: _left(a, by, kind.bits)), (None, "u32")),
    "shr": lambda modifiers, kind: ((lambda a, by: _right(a, by, kind.bits)), (None, "u32")),
    "bfe": lambda modifiers, kind: (_field, (None, "u32", "u32")),
    "bfi": lambda modifiers, kind: (_inserted, (None, None, "u32", "u32")),
    "prmt": lambda modifiers, kind: _permuted,
    "shf": _funnel,
    "lop3": lambda modifiers, kind: (_of_three, (None, None, None, "u32")),
    "brev": lambda modifiers, kind: _reversed,
    "popc": lambda modifiers, kind: (lambda a: np.bitwise_count(a).astype(np.uint32), *_COUNT),
    "clz": lambda modifiers, kind: (_leading_zeros, *_COUNT),
}
