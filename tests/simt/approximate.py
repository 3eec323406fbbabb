"""The instructions that are not rounded correctly, at the errors that the PTX ISA states for them."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Approximations(IntEnum):
    """The result within the stated error: the nearest to the exact one, the highest, or the lowest."""

    NEAREST = 0
    HIGHEST = 1
    LOWEST = -1


class Approximate(NamedTuple):
    """A function in float64, and the largest error of its approximation in float32.

    Attributes:
        relative: of the result.
        absolute: of results that are smaller than 1 in magnitude, in place of `relative`.
        units: in the last place of the result, in place of either.
    """

    function: Callable[..., Array]
    relative: float = 0.0
    absolute: float = 0.0
    units: int = 0

    def bound(self, exact: Array) -> Array:
        """The largest error of each result."""
        if self.units:
            return self.units * np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
        return np.where(np.abs(exact) < 1, self.absolute, 0) if self.absolute else np.abs(exact) * self.relative

    def __call__(self, which: Approximations, *arguments: Array) -> Array:
        """The result for float32 arguments."""
        exact = self.function(*(argument.astype(np.float64) for argument in arguments))
        near = exact.astype(np.float32)
        if which == Approximations.NEAREST:
            return near
        bound = np.maximum(self.bound(exact), np.abs(exact) * self.relative)
        moved = (exact + int(which) * bound).astype(np.float32)
        outside = np.abs(moved.astype(np.float64) - exact) > bound
        moved = np.where(outside, np.nextafter(moved, near), moved)
        # Where the exact result is 0 or infinite, the ISA says so of the approximation.
        return np.where(np.isfinite(near) & np.isfinite(moved) & (near != 0), moved, near)


APPROXIMATE = {
    "ex2": Approximate(np.exp2, relative=2.0**-22),
    "lg2": Approximate(np.log2, relative=2.0**-22, absolute=2.0**-22),
    "rcp": Approximate(np.reciprocal, units=1),
    "sqrt": Approximate(np.sqrt, relative=2.0**-23),
    "rsqrt": Approximate(lambda x: 1 / np.sqrt(x), relative=2.0**-22.9),
    "sin": Approximate(np.sin, absolute=2.0**-20.5),
    "cos": Approximate(np.cos, absolute=2.0**-20.5),
    "tanh": Approximate(np.tanh, relative=2.0**-11),
    "div": Approximate(np.divide, units=2),
}


def high_words(exact: Array, which: Approximations) -> Array:
    """`rcp.approx.ftz.f64` and its like: only the upper 32 bits of a float64, off by one in their last place."""
    upper = (exact.view(np.int64) >> 32) + int(which) * np.where(exact >= 0, 1, -1)
    return np.where(np.isfinite(exact) & (exact != 0), (upper << 32).view(np.float64), exact)
