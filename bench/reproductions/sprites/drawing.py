"""White shapes on black, one for each combination of five factors, as in dSprites (Matthey et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor

SIDE: Final = 32
_SUPERSAMPLING: Final = 4
_CHUNK: Final = 500
# Half the height of a shape, in pixels.
_RADIUS: Final = 8.0

Shape = Callable[[Tensor, Tensor], Tensor]


def _ellipse(x: Tensor, y: Tensor) -> Tensor:
    return (x / 0.5) ** 2 + y**2 < 1


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    """Its apex at (0, -1), its base of width 1.4 at y = 0.8."""
    return (y < 0.8) & (x.abs() < 0.7 * (y + 1) / 1.8)


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """The curve (u^2 + v^2 - 1)^3 = u^2 v^3, its tip at the bottom."""
    u, v = 1.25 * x, 0.15 - 1.1 * y
    return (u**2 + v**2 - 1) ** 3 < u**2 * v**3


_SHAPES: Final[tuple[Shape, ...]] = (_ellipse, _triangle, _heart)


class Factor(NamedTuple):
    """One thing that varies.

    Attributes:
        values: a shape's index, a factor of its size, an angle in radians clockwise, or an offset from the centre in
            pixels, to the right and down.
    """

    name: str
    values: tuple[float, ...]


def _steps(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(low + (high - low) * index / (count - 1) for index in range(count))


# No shape looks the same at two angles: the ellipse repeats after half a turn, which the angles do not span, and the
# others after a whole one. A symmetric shape would give one image to several values of the factor.
FACTORS: Final = (
    Factor("shape", _steps(0, len(_SHAPES) - 1, len(_SHAPES))),
    Factor("scale", _steps(0.5, 1.0, 4)),
    Factor("rotation", _steps(-0.375 * math.pi, 0.375 * math.pi, 10)),
    Factor("x", _steps(-7.0, 7.0, 10)),
    Factor("y", _steps(-7.0, 7.0, 10)),
)


def grid(factors: tuple[Factor, ...] = FACTORS) -> Tensor:
    """The index of each factor's value for every combination, int64 ``[count, factors]``, the last varying fastest."""
    return torch.cartesian_prod(*(torch.arange(len(factor.values)) for factor in factors))


def draw(indices: Tensor) -> Tensor:
    """The images of some combinations, float32 ``[count, 1, 32, 32]`` in [0, 1].

    A pixel is the share of its 4 x 4 points that the shape covers: edges are antialiased, and nothing is random.

    Args:
        indices: rows of `grid`.
    """
    return torch.cat([_drawn(chunk) for chunk in indices.split(_CHUNK)])


def _drawn(indices: Tensor) -> Tensor:
    columns = (torch.tensor(factor.values)[indices[:, at], None, None] for at, factor in enumerate(FACTORS))
    shape, scale, angle, right, down = columns
    points = (torch.arange(SIDE * _SUPERSAMPLING) + 0.5) / _SUPERSAMPLING - SIDE / 2
    y, x = torch.meshgrid(points, points, indexing="ij")
    size = _RADIUS * scale
    x, y = (x - right) / size, (y - down) / size
    # What is turned clockwise is looked up counterclockwise; y points down.
    x, y = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    covered = torch.zeros_like(x, dtype=torch.bool)
    for index, inside in enumerate(_SHAPES):
        covered |= (shape == index) & inside(x, y)
    return torch.nn.functional.avg_pool2d(covered.to(torch.float32)[:, None], _SUPERSAMPLING)
