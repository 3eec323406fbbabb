"""``cvt``: between integers and floating point of all sizes, with a rounding mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simt import rounding
from tests.simt.formats import FORMATS, Format

Array = NDArray[Any]
_KNOWN = {"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "ftz", "sat"}


def converted(modifiers: tuple[str, ...]) -> Callable[..., Array]:
    """The function of a conversion; its result is rounded to nearest where it is written, if it has more bits.

    Raises:
        NotImplementedError: a modifier is not known.
    """
    to, by = (FORMATS[part] for part in modifiers if part in FORMATS)
    unknown = {*modifiers} - _KNOWN - {*FORMATS}
    if unknown:
        raise NotImplementedError(f"instruction: got cvt.{'.'.join(modifiers)}; takes {sorted(_KNOWN)}")
    mode = next((part for part in modifiers if part[0] == "r"), "rn")
    floats = ("f", "bf")

    def convert(value: Array, *low: Array) -> Array:
        if "ftz" in modifiers and by.bits == 32 and by.kind == "f":
            value, low = rounding.flushed(value), tuple(map(rounding.flushed, low))
        if low:
            # Two values become a pair, the first the upper one.
            return np.stack(np.broadcast_arrays(low[0], value), axis=-1)
        if by.kind in floats and to.kind in floats:
            return _between_floats(value, to, mode, "sat" in modifiers)
        if by.kind in floats:
            return _to_integer(value, to, mode)
        if to.kind in floats:
            return _from_integer(value, to, mode)
        return _between_integers(value, to, "sat" in modifiers)

    return convert


def _between_floats(value: Array, to: Format, mode: str, saturated: bool) -> Array:
    if mode.endswith("i"):
        value = rounding.to_integral(value, mode[1])
    elif mode != "rn":
        value = _directed(value, to, mode)
    return np.fmax(np.fmin(value, 1), 0) if saturated else value


def _directed(value: Array, to: Format, mode: str) -> Array:
    """Rounded in a direction: the nearest value, or its neighbour on the other side of the exact one."""
    if to.kind == "bf" or to.bits != 32:
        raise NotImplementedError(f"instruction: got cvt.{mode} to {to.bits} bits; takes f32")
    near = value.astype(np.float32)
    beyond = near.astype(np.float64) - value
    towards = {"rz": -np.sign(value), "rm": -1.0, "rp": 1.0}[mode] * np.ones_like(value)
    target = np.where(towards > 0, np.float32(np.inf), np.float32(-np.inf)).astype(np.float32)
    return np.where(beyond * towards < 0, np.nextafter(near, target), near)


def _to_integer(value: Array, to: Format, mode: str) -> Array:
    """Clamped to the range of the type; NaN is 0, and of 64 bits the highest bit alone."""
    info = np.iinfo(f"{'i' if to.kind == 's' else 'u'}{to.bits // 8}")
    rounded = rounding.to_integral(value.astype(np.float64), mode[1])
    inside = (rounded > info.min) & (rounded < info.max)
    result = np.where(inside, rounded, 0).astype(info.dtype)
    result = np.where(rounded >= info.max, info.max, np.where(rounded <= info.min, info.min, result))
    of_nan = 0 if to.bits < 64 else (info.min if to.kind == "s" else 1 << 63)
    return np.where(np.isnan(value), np.array(of_nan, info.dtype), result).astype(info.dtype)


def _from_integer(value: Array, to: Format, mode: str) -> Array:
    if mode != "rn":
        raise NotImplementedError(f"instruction: got cvt.{mode} of an integer; takes rn")
    if to.bits < 32:
        # Exact in float64 up to 53 bits, and rounded once where it is written.
        return value.astype(np.float64)
    return value.astype(f"f{to.bits // 8}")


def _between_integers(value: Array, to: Format, saturated: bool) -> Array:
    dtype = np.dtype(f"{'i' if to.kind == 's' else 'u'}{to.bits // 8}")
    if saturated:
        info = np.iinfo(dtype)
        wide = value.astype(object)
        return np.clip(wide, info.min, info.max).astype(dtype)
    return value.astype(dtype)
