"""Tensors described by a few words, so that a case prints as what it is and is built again from its print."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor

from tests.support.layouts import LAYOUTS as DENSE
from tests.support.layouts import expand_first
from tests.support.posteriors import raw_scale

Shape = tuple[int, ...]
Draw = Callable[[Shape, torch.Generator, float], Tensor]

INTEGERS: Final = (torch.uint8, torch.uint16, torch.int16, torch.int32)
BLOCK: Final = 2048
LARGE: Final = 20_001
"""Elements that a second thread takes a part of."""


def _normal(shape: Shape, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _positive(shape: Shape, generator: torch.Generator, spread: float) -> Tensor:
    """Numbers whose quotients have a float: what is beyond has no meaning for a mean and an inverse dispersion."""
    return torch.exp(spread * _normal(shape, generator)).clamp(1e-4, 6e4)


def _count(shape: Shape, generator: torch.Generator, spread: float) -> Tensor:
    rate = (0.5 + spread * _normal(shape, generator)).clamp(max=10).exp()
    return torch.poisson(rate, generator).clamp(max=32767)


def _level(bits: int) -> Draw:
    return lambda shape, generator, spread: torch.randint(2**bits, shape, generator=generator).double()


def _scale(parameterization: str) -> Draw:
    def draw(shape: Shape, generator: torch.Generator, spread: float) -> Tensor:
        raw = raw_scale(parameterization, shape, generator, torch.float64)
        if parameterization in ("std", "variance"):
            return raw.sign() * raw.abs() ** spread
        return raw * spread

    return draw


class Domain(NamedTuple):
    """What an operand's values may be: those drawn at a `spread` of 1 or more, and the special ones in their midst."""

    draw: Draw
    special: tuple[float, ...]


_SPECIAL: Final = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-40, -1e-40, 1.0, -1.0, 2.0**-126)
DOMAINS: Final[dict[str, Domain]] = {
    "real": Domain(lambda shape, g, spread: spread * _normal(shape, g), _SPECIAL),
    "finite": Domain(
        lambda shape, g, spread: spread * _normal(shape, g),
        tuple(value for value in _SPECIAL if abs(value) != math.inf),
    ),
    "probability": Domain(
        lambda shape, g, spread: torch.sigmoid(spread * _normal(shape, g)), (0.0, 1.0, 1e-12, 1e-30, 1e-40, 0.5)
    ),
    "positive": Domain(_positive, (math.nan, 1.0, 6e-5)),
    "rate": Domain(_positive, (math.nan, 0.0, 1.0, 1e-30)),
    "count": Domain(_count, (0.0, 1.0, 2.0, 255.0, 32767.0)),
    "pixel": Domain(lambda shape, g, spread: torch.tanh(spread * _normal(shape, g)), (-1.0, 1.0, 0.0)),
    **{f"level{bits}": Domain(_level(bits), (0.0, 2.0**bits - 1)) for bits in range(1, 9)},
    "weight": Domain(
        lambda shape, g, spread: torch.rand(shape, generator=g, dtype=torch.float64),
        (0.0, 1.0, -1.0, math.inf, math.nan),
    ),
    **{name: Domain(_scale(name), _SPECIAL) for name in ("logvar", "log_std", "softplus")},
    # Neither is denormal: 1 / sigma, a factor of gradients, would be no float32.
    "std": Domain(_scale("std"), tuple(value for value in _SPECIAL if abs(value) != 1e-40)),
    "variance": Domain(_scale("variance"), (math.nan, math.inf, 0.0, 1.0, 2.0**-126)),
}  # fmt: skip

# How far apart values lie; how they are changed then.
FLAVOURS: Final = ("ordinary", "wide", "special", "alike", "coarse", "tiny", "huge")


def _flavoured(flavour: str, domain: str, shape: Shape, generator: torch.Generator) -> Tensor:
    value = DOMAINS[domain].draw(shape, generator, 5.0 if flavour == "wide" else 1.0)
    if flavour == "special":
        special = torch.tensor(DOMAINS[domain].special, dtype=torch.float64)
        chosen = special[torch.randint(len(special), shape, generator=generator)]
        value = torch.where(torch.rand(shape, generator=generator) < 0.15, chosen, value)
    elif flavour == "alike" and value.numel():
        value = value.flatten()[0].expand(shape).contiguous()
    elif flavour == "coarse":
        value = torch.round(2 * value) / 2 if domain in ("real", "logvar", "log_std", "softplus", "pixel") else value
    elif domain == "real" and flavour in ("tiny", "huge"):
        value = value * (1e-20 if flavour == "tiny" else 1e12)
    return value


def _overlapping(value: Tensor) -> Tensor:
    """Windows of a row that share elements: each index is one further, along whatever dimension."""
    row = value.contiguous().flatten()[: 1 + sum(size - 1 for size in value.shape)].clone()
    return row.as_strided(value.shape, (1,) * value.dim()) if value.numel() else value.clone()


def _misaligned(value: Tensor) -> Tensor:
    """Dense, from the second element of its memory on."""
    memory = torch.cat((value.new_zeros(1), value.contiguous().flatten()))
    return memory[1:].view(value.shape)


def _channels_last(value: Tensor) -> Tensor:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return value.contiguous(memory_format=formats.get(value.dim(), torch.contiguous_format)).clone()


def _negated(value: Tensor) -> Tensor:
    """A view with a pending sign, where the dtype has one."""
    if value.dtype not in (torch.float32, torch.float64):
        return value.clone()
    return torch.complex(value, -value).conj().imag


def _expanded(value: Tensor) -> Tensor:
    return value[(slice(0, 1),) * value.dim()].expand(value.shape) if value.numel() else value.clone()


SHARING: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "first expanded": lambda value: expand_first(value) if value.dim() and value.numel() else value.clone(),
    "expanded": _expanded,
    "overlapping": _overlapping,
}
LAYOUTS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    **DENSE,
    **SHARING,
    "misaligned": _misaligned,
    "channels last": _channels_last,
    "negated": _negated,
}


class Operand(NamedTuple):
    """A tensor of a domain; `seed` draws its values."""

    shape: Shape
    dtype: torch.dtype
    domain: str
    flavour: str = "ordinary"
    layout: str = "contiguous"
    seed: int = 0

    def build(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        # torch's bound of a float64 probability's denominator, 1e-12, is that of float32 and off by 4e-9.
        exact = self.domain == "probability" and self.dtype == torch.float64 and self.flavour == "special"
        value = _flavoured("ordinary" if exact else self.flavour, self.domain, self.shape, generator)
        if self.dtype == torch.bool:
            value = value > 0.5
        elif self.dtype in INTEGERS:
            value = self._bytes(value, generator) if self.dtype == torch.uint8 else value.round().nan_to_num(0)
        value = value.to(self.dtype)
        if not self.shape:
            return value
        layout = LAYOUTS[self.layout]
        # torch has few operations on uint16: its strides and bits are those of int16.
        return layout(value.view(torch.int16)).view(torch.uint16) if self.dtype == torch.uint16 else layout(value)

    def _bytes(self, value: Tensor, generator: torch.Generator) -> Tensor:
        if self.domain == "count" or self.domain.startswith("level"):
            return value.clamp(max=255)
        return torch.randint(256, value.shape, generator=generator)
