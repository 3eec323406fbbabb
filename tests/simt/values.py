"""The instructions that compute a value from values, each as a function of whole arrays of lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.simt import rounding
from tests.simt.approximate import APPROXIMATE, Approximations, high_words
from tests.simt.bits import BIT_INSTRUCTIONS
from tests.simt.conversions import converted
from tests.simt.formats import FORMATS, Format
from tests.simt.integers import INTEGER_INSTRUCTIONS

Array = NDArray[Any]
Function = Callable[..., Any]


class Value(NamedTuple):
    """What an instruction computes: its result, or two for a pair of predicates.

    Attributes:
        function: of the operands.
        operands: their formats.
        result: its format.
    """

    function: Function
    operands: tuple[Format, ...]
    result: Format


def value_of(opcode: tuple[str, ...], which: Approximations) -> Value | None:
    """The function behind an opcode; None where it is no such instruction.

    Raises:
        NotImplementedError: it is one that is not known, or has a modifier that is not.
    """
    name, modifiers = opcode[0], opcode[1:]
    kinds = [FORMATS[part] for part in modifiers if part in FORMATS]
    if name == "cvt":
        to, by = kinds
        operands = (by, by) if opcode[-2] in ("f16x2", "bf16x2") else (by,)
        return Value(converted(modifiers), operands, to)
    if name not in _NAMES:
        return None
    kind = kinds[-1]
    if name == "setp":
        return _comparison(modifiers, kind)
    if name == "selp":
        return Value(
            lambda a, b, p: np.where(p[:, None] if a.ndim > 1 else p, a, b), (kind, kind, FORMATS["pred"]), kind
        )
    if name in BIT_INSTRUCTIONS and kind.kind not in ("f", "bf"):
        return Value(*_formats(BIT_INSTRUCTIONS[name](modifiers, kind), kind))
    if kind.kind in ("f", "bf"):
        return Value(_floating(name, modifiers, kind, which), (kind,) * 3, kind)
    return Value(*_formats(INTEGER_INSTRUCTIONS[name](modifiers, kind), kind))


def _formats(found: tuple[Any, ...], kind: Format) -> tuple[Function, tuple[Format, ...], Format]:
    """(function, formats of operands, format of the result): those not named are of the instruction's type."""
    function, operands, result = (*found, None, None)[:3] if isinstance(found, tuple) else (found, None, None)
    named = [kind if name is None else FORMATS[name] for name in operands or (None,) * 3]
    return function, tuple(named), FORMATS[result] if result else kind


def _maximum(a: Array, b: Array) -> Array:
    """The number where the other is NaN; +0 of two zeros."""
    return np.where((a == 0) & (b == 0), a + b, np.fmax(a, b))


def _minimum(a: Array, b: Array) -> Array:
    return -_maximum(-a, -b)


def _propagating(function: Function) -> Function:
    return lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.asarray(np.nan, a.dtype), function(a, b))


def _fused(bits: int, half: bool) -> Function:
    if half:
        return lambda a, b, c: rounding.add_to_odd(a.astype(np.float64) * b, c.astype(np.float64))
    return rounding.fma32 if bits == 32 else rounding.fma64


def _sum(half: bool, sign: int) -> Function:
    if half:
        return lambda a, b: rounding.add_to_odd(a.astype(np.float64), sign * b.astype(np.float64))
    return np.add if sign > 0 else np.subtract


def _exact_or_not(
    name: str, modifiers: tuple[str, ...], kind: Format, which: Approximations, exact: Function
) -> Function:
    """Rounded correctly, or approximate where a modifier says so."""
    if not {"approx", "full"} & {*modifiers}:
        return exact
    if kind.bits == 64:
        return lambda *values: high_words(exact(*values), which)
    return lambda *values: APPROXIMATE[name](which, *values)


def _inverse_root(x: Array) -> Array:
    return 1 / np.sqrt(x)


def _floating(name: str, modifiers: tuple[str, ...], kind: Format, which: Approximations) -> Function:
    unknown = {*modifiers} - {"rn", "ftz", "sat", "NaN", "approx", "full", *FORMATS}
    if unknown or name not in _FLOAT:
        raise NotImplementedError(f"instruction: got {'.'.join((name, *modifiers))}; takes what is in {__name__}")
    half = modifiers[-1] not in ("f32", "f64")
    functions: dict[str, Function] = {
        "add": _sum(half, 1),
        "sub": _sum(half, -1),
        "mul": (lambda a, b: a.astype(np.float64) * b) if half else np.multiply,
        "fma": _fused(kind.bits, half),
        "mad": _fused(kind.bits, half),
        "max": _propagating(_maximum) if "NaN" in modifiers else _maximum,
        "min": _propagating(_minimum) if "NaN" in modifiers else _minimum,
        "abs": np.abs,
        "neg": np.negative,
        "div": _exact_or_not(name, modifiers, kind, which, np.divide),
        "rcp": _exact_or_not(name, modifiers, kind, which, np.reciprocal),
        "sqrt": _exact_or_not(name, modifiers, kind, which, np.sqrt),
        "rsqrt": _exact_or_not(name, modifiers, kind, which, _inverse_root),
        "copysign": lambda sign, magnitude: np.copysign(magnitude, sign),
        **{other: lambda *values: APPROXIMATE[name](which, *values) for other in ("ex2", "lg2", "sin", "cos", "tanh")},
    }
    function = functions[name]
    if "ftz" in modifiers and kind.bits == 32:
        unflushed = function

        def function(*values: Array) -> Array:
            return rounding.flushed(unflushed(*(rounding.flushed(value) for value in values)))

    if "sat" in modifiers:
        return lambda *values: np.fmax(np.fmin(function(*values), 1), 0)
    return function


_COMPARISONS: dict[str, Function] = {
    "eq": np.equal,
    "ne": lambda a, b: (a < b) | (a > b),
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
    # True where either is NaN.
    "equ": lambda a, b: ~((a < b) | (a > b)),
    "neu": np.not_equal,
    "ltu": lambda a, b: ~(a >= b),
    "leu": lambda a, b: ~(a > b),
    "gtu": lambda a, b: ~(a <= b),
    "geu": lambda a, b: ~(a < b),
    "num": lambda a, b: ~(np.isnan(a) | np.isnan(b)),
    "nan": lambda a, b: np.isnan(a) | np.isnan(b),
}
_COMBINED: dict[str, Function] = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _comparison(modifiers: tuple[str, ...], kind: Format) -> Value:
    """The predicate and the other one: of the upper halves of a pair, or the opposite, both combined with a third."""
    compare, combine = _COMPARISONS[modifiers[0]], _COMBINED.get(modifiers[1])

    def predicates(a: Array, b: Array, *third: Array) -> tuple[Array, Array]:
        if "ftz" in modifiers:
            a, b = rounding.flushed(a), rounding.flushed(b)
        found = compare(a, b)
        both = (found[..., 0], found[..., 1]) if found.ndim > 1 else (found, ~found)
        if combine is None:
            return both
        return combine(both[0], third[0]), combine(both[1], third[0])

    return Value(predicates, (kind, kind, FORMATS["pred"]), FORMATS["pred"])


_FLOAT = {"add", "sub", "mul", "fma", "mad", "max", "min", "abs", "neg", "div", "rcp", "sqrt", "rsqrt", "copysign"}
_FLOAT |= {"ex2", "lg2", "sin", "cos", "tanh"}
_NAMES = _FLOAT | {"setp", "selp", *BIT_INSTRUCTIONS, *INTEGER_INSTRUCTIONS}
