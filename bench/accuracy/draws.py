"""Inputs as a table can name them: a distribution for each tensor, in float64 before it is rounded to a dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Shape = tuple[int, ...]
Tensors = Mapping[str, Tensor]
Draw = Callable[[Shape, torch.Generator, Tensors], Tensor]
"""Of a shape, by a generator; the tensors drawn before it are there to lean on."""


def _uniform(shape: Shape, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def uniform(low: float, high: float) -> Draw:
    """Evenly between two numbers."""
    return lambda shape, generator, _: low + (high - low) * _uniform(shape, generator)


def normal(scale: float = 1.0, mean: float = 0.0) -> Draw:
    """Of a Gaussian."""
    return lambda shape, generator, _: mean + scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def spread(low: float, high: float) -> Draw:
    """Evenly in its logarithm between two positive numbers."""
    return lambda shape, generator, _: low * (high / low) ** _uniform(shape, generator)


def signed(low: float, high: float) -> Draw:
    """`spread` with either sign."""
    return lambda *given: spread(low, high)(*given) * (1 - 2 * torch.randint(2, given[0], generator=given[1]))


def among(*values: float) -> Draw:
    """One of these numbers."""
    of = torch.tensor(values, dtype=torch.float64)
    return lambda shape, generator, _: of[torch.randint(len(values), shape, generator=generator)]


def counts(low: float, high: float) -> Draw:
    """Whole numbers, evenly in the logarithm of one more."""
    return lambda *given: (spread(low + 1, high + 1)(*given) - 1).round()


def one_minus(draw: Draw) -> Draw:
    """1 less what is drawn."""
    return lambda *given: 1 - draw(*given)


def near(name: str, by: Draw) -> Draw:
    """The tensor of that name, off by what is drawn."""
    return lambda *given: given[2][name] + by(*given)


def log_of(name: str, by: Draw) -> Draw:
    """The logarithm of the tensor of that name, off by what is drawn."""
    return lambda *given: given[2][name].log() + by(*given)


def logistics(means: Draw, log_scales: Draw, mixtures: int) -> Draw:
    """The parameters of a mixture of logistics for three channels, ``[batch, 10 M, H, W]``."""

    def draw(shape: Shape, generator: torch.Generator, drawn: Tensors) -> Tensor:
        batch, _, *size = shape
        each = (batch, 3, mixtures, *size)
        logits = normal()((batch, mixtures, *size), generator, drawn)
        parts = [kind(each, generator, drawn) for kind in (means, log_scales, normal())]
        return torch.cat((logits, torch.stack(parts, 2).flatten(1, 3)), 1)

    return draw


def levels(*values: int) -> Draw:
    """Bytes: one of these values, or any."""

    def draw(shape: Shape, generator: torch.Generator, _: Tensors) -> Tensor:
        index = torch.randint(len(values) or 256, shape, generator=generator)
        return (torch.tensor(values)[index] if values else index).to(torch.uint8)

    return draw
