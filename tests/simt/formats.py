"""What the bits of a register stand for: how each type of PTX is read from them, and rounded to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.simt import rounding

Array = NDArray[Any]
UNSIGNED = {1: np.bool_, 8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


class Format(NamedTuple):
    """A type.

    Attributes:
        bits: its size.
        read: from unsigned integers of this size to numbers. A half becomes a float32, a pair of them has an axis more.
        write: back, rounding to nearest.
        kind: the first letters of its name, such as "s" or "bf".
    """

    bits: int
    read: Callable[[Array], Array]
    write: Callable[[Array], Array]
    kind: str


def _as(dtype: Any) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    unsigned = UNSIGNED[8 * np.dtype(dtype).itemsize]
    return (lambda bits: bits.view(dtype)), (lambda value: value.astype(dtype, copy=False).view(unsigned))


def _half(bits: Array) -> Array:
    return bits.view(np.float16).astype(np.float32)


def _to_half(value: Array) -> Array:
    return value.astype(np.float16).view(np.uint16)


def _to_bfloat16(value: Array) -> Array:
    return rounding.to_bfloat16(rounding.narrowed_to_odd(value) if value.dtype == np.float64 else value)


def _pair(read: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda bits: read(np.ascontiguousarray(bits).view(np.uint16).reshape(-1, 2))


def _to_pair(write: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda value: np.ascontiguousarray(write(value)).view(np.uint32).reshape(-1)


FORMATS = {
    "pred": Format(1, lambda bits: bits, lambda value: value.astype(bool), "p"),
    "f32": Format(32, *_as(np.float32), "f"),
    "f64": Format(64, *_as(np.float64), "f"),
    "f16": Format(16, _half, _to_half, "f"),
    "bf16": Format(16, rounding.from_bfloat16, _to_bfloat16, "bf"),
    "f16x2": Format(32, _pair(_half), _to_pair(_to_half), "f"),
    "bf16x2": Format(32, _pair(rounding.from_bfloat16), _to_pair(_to_bfloat16), "bf"),
    **{f"{kind}{bits}": Format(bits, *_as(UNSIGNED[bits]), kind) for kind in "bu" for bits in (8, 16, 32, 64)},
    **{f"s{bits}": Format(bits, *_as(f"i{bits // 8}"), "s") for bits in (8, 16, 32, 64)},
}


def resized(bits: Array, size: int, *, signed: bool = False) -> Array:
    """Unsigned integers of another size: the low bits, or more of them, copies of the sign where `signed`."""
    if bits.dtype == UNSIGNED[size]:
        return bits
    if signed:
        bits = bits.view(f"i{bits.dtype.itemsize}")
    return bits.astype(UNSIGNED[size])


def constant(text: str, size: int) -> Array | None:
    """The bits of a number as it is written in PTX, one for all lanes; None where it is no number."""
    try:
        value = int(text[2:], 16) if text[:2] in ("0f", "0F", "0d", "0D") else int(text.rstrip("U"), 0)
    except ValueError:
        return None
    if size == 1:
        return np.array([value != 0])
    return np.array([value & ((1 << size) - 1)], dtype=UNSIGNED[size])
