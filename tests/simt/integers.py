"""Integer arithmetic. A table: from modifiers and type to a function of arrays of that type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simt.formats import UNSIGNED, Format

Array = NDArray[Any]


def _wide(kind: Format) -> str:
    """The type of twice the size."""
    return f"{'s' if kind.kind == 's' else 'u'}{2 * kind.bits}"


def _widened(value: Array) -> Array:
    return value.astype(f"{value.dtype.kind}{2 * value.dtype.itemsize}")


def _high(a: Array, b: Array) -> Array:
    """The upper half of a product."""
    if a.dtype.itemsize < 8:
        return (_widened(a) * _widened(b) >> (8 * a.dtype.itemsize)).astype(a.dtype)
    return (a.astype(object) * b.astype(object) >> 64).astype(a.dtype)


def _product(modifiers: tuple[str, ...], kind: Format) -> Any:
    if "wide" in modifiers:
        return (lambda a, b: _widened(a) * _widened(b)), (None, None), _wide(kind)
    return _high if "hi" in modifiers else np.multiply


def _product_and_sum(modifiers: tuple[str, ...], kind: Format) -> Any:
    if "cc" in modifiers:
        raise NotImplementedError("instruction: got mad.cc; takes one without a carry")
    if "wide" in modifiers:
        return (lambda a, b, c: _widened(a) * _widened(b) + c), (None, None, _wide(kind)), _wide(kind)
    if "hi" in modifiers:
        return lambda a, b, c: _high(a, b) + c
    return lambda a, b, c: a * b + c


def _magnitude(value: Array) -> Array:
    unsigned = UNSIGNED[8 * value.dtype.itemsize]
    return np.where(value < 0, -value, value).view(unsigned) if value.dtype.kind == "i" else value


def quotient(a: Array, b: Array) -> Array:
    """Rounded to zero; all ones where b is 0, of which PTX says nothing."""
    ratio = np.where(b == 0, ~_magnitude(b * 0), _magnitude(a) // np.where(b == 0, 1, _magnitude(b)))
    ratio = ratio.view(a.dtype) if ratio.dtype.itemsize == a.dtype.itemsize else ratio.astype(a.dtype)
    return np.where(((a < 0) != (b < 0)) & (b != 0), -ratio, ratio)


def remainder(a: Array, b: Array) -> Array:
    """With the sign of a."""
    return a - quotient(a, b) * b


INTEGER_INSTRUCTIONS: dict[str, Callable[[tuple[str, ...], Format], Any]] = {
    "add": lambda modifiers, kind: np.add,
    "sub": lambda modifiers, kind: np.subtract,
    "mul": _product,
    "mad": _product_and_sum,
    "div": lambda modifiers, kind: quotient,
    "rem": lambda modifiers, kind: remainder,
    "min": lambda modifiers, kind: np.minimum,
    "max": lambda modifiers, kind: np.maximum,
    "abs": lambda modifiers, kind: np.abs,
    "neg": lambda modifiers, kind: np.negative,
}
