"""Arithmetic that rounds once, in numpy: fused multiply-add, and the formats that numpy has not.

A result with an odd last bit wherever it is inexact ("rounded to odd", Boldo & Melquiond 2008) may be rounded again to
a format at least two bits shorter, and is then what one rounding would have given.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Array = NDArray[np.generic]

_SPLIT = 2.0**27 + 1
# Where neither the error of a product nor that of a sum over- or underflows.
_LOW, _HIGH = 2.0**-400, 2.0**400


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """(a + b, its error), by Knuth."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """(a b, its error), by Dekker."""
    product = a * b
    a_high, b_high = _SPLIT * a, _SPLIT * b
    a_high, b_high = a_high - (a_high - a), b_high - (b_high - b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _to_odd(total: Floats, error: Floats) -> Floats:
    """total + error rounded to odd, where total is their sum rounded to nearest."""
    even = (total.view(np.int64) & 1) == 0
    inexact = (error != 0) & np.isfinite(total) & np.isfinite(error)
    return np.where(inexact & even, np.nextafter(total, np.copysign(np.inf, error)), total)


def add_to_odd(a: Floats, b: Floats) -> Floats:
    """a + b in float64, rounded to odd."""
    return _to_odd(*_two_sum(a, b))


def fma32(a: Array, b: Array, c: Array) -> NDArray[np.float32]:
    """a b + c of float32, rounded once."""
    # Of 24 bits each, a product is exact.
    product, addend = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    total = product + addend
    # A second rounding matters halfway between two results, which are further apart below the smallest normal number.
    risky = ((total.view(np.int64) & 0x1FFFFFFF) == 0x10000000) | (np.abs(total) < 2.0**-125)
    if risky.any():
        total = np.where(risky, add_to_odd(product, addend), total)
    return total.astype(np.float32)


def fma64(a: Array, b: Array, c: Array) -> Floats:
    """a b + c of float64, rounded once."""
    a, b, c = np.broadcast_arrays(a, b, c)
    product, product_error = _two_product(a, b)
    total, total_error = _two_sum(product, c)
    result = total + add_to_odd(total_error, product_error)
    magnitudes = [np.abs(value) for value in (a, b, product, c)]
    safe = np.all([((low > _LOW) & (low < _HIGH)) | (low == 0) for low in magnitudes], axis=0) & (magnitudes[2] > 0)
    plain = a * b + c
    exact = np.isfinite(a) & np.isfinite(b) & np.isfinite(c) & (a != 0) & (b != 0)
    result = np.where(safe, result, plain)
    for index in np.flatnonzero(exact & ~safe):
        result[index] = _exactly(float(a[index]), float(b[index]), float(c[index]))
    return result


def _exactly(a: float, b: float, c: float) -> float:
    value = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        # An exact zero has the sign of its two equal terms, or is positive.
        return float(value) if value else a * b + c
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def narrowed_to_odd(value: Floats) -> NDArray[np.float32]:
    """float64 as float32, rounded to odd."""
    near = value.astype(np.float32)
    wide = near.astype(np.float64)
    towards_zero = np.where(np.abs(wide) > np.abs(value), np.nextafter(near, np.float32(0)), near)
    odd = (towards_zero.view(np.uint32) | np.uint32(1)).view(np.float32)
    return np.where((wide == value) | np.isnan(value), near, odd)


def to_bfloat16(value: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of float32 rounded to the nearest bfloat16, ties to even."""
    bits = value.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(value), np.uint32(0x7FFF), rounded).astype(np.uint16)


def from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 whose upper half is given."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_integral(value: Array, mode: str) -> Array:
    """Rounded to an integer of the same dtype: `mode` is the last letter but one of rni, rzi, rmi, rpi."""
    return {"n": np.rint, "z": np.trunc, "m": np.floor, "p": np.ceil}[mode](value)


def flushed(value: Array) -> Array:
    """Zero, of the same sign, in place of what is below the smallest normal float32."""
    return np.where(np.abs(value) < np.float32(2.0**-126), np.copysign(np.float32(0), value), value)
