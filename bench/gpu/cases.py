"""What is measured on a GPU: ops of `bench.ops` where memory decides, where launches do, and in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch

from bench import cases, ops
from bench.gpu.device import Device
from bench.ops import Inputs, Op, Shape


class Size(NamedTuple):
    """Shapes of pixels and of the latent; whether a call is over before the next one is launched."""

    pixels: Shape
    latent: Shape
    launch_bound: bool


LARGE: Final = Size((131072, 1024), (65536, 1024), False)
MNIST: Final = Size((128, 784), (128, 20), True)
MIDDLE: Final = Size((4096, 784), (4096, 128), False)
_SIZES: Final = (LARGE, MNIST, MIDDLE)
_DRY_SIZES: Final = (Size((12, 16), (12, 4), False), Size((3, 7), (3, 5), True))

LOSSES: Final = (ops.BCE, ops.BCE_BYTES, ops.BCE_BYTES_HALF, ops.MSE)
LATENTS: Final = (ops.REPARAMETERIZE_KL, ops.REPARAMETERIZE_KL_PACKED, ops.REPARAMETERIZE_KL_PACKED_HALF)


@dataclass(frozen=True)
class Case:
    """One op at one size.

    Attributes:
        min_bytes: what forward and backward together must move.
    """

    op: Op
    shapes: tuple[Shape, ...]
    launch_bound: bool
    size: str
    elements: int
    min_bytes: int

    @property
    def name(self) -> str:
        """Unique among the cases."""
        return f"{self.op.name} {self.size} {self.op.dtype}{', uint8' if self.op.target == 'uint8' else ''}"

    def inputs(self, device: str) -> Inputs:
        """Inputs on a device."""
        with torch.device(device):
            return self.op.inputs(*self.shapes)


def sizes(device: Device) -> tuple[Size, ...]:
    """What is measured on a device, the most valuable first."""
    return _SIZES if device.real else _DRY_SIZES


def cases_of(size: Size) -> Iterator[Case]:
    """Every op at a size. The whole ELBO is of both shapes, too much for the largest."""
    for op in LOSSES:
        yield _case(op, (size.pixels,), size)
    for op in LATENTS:
        yield _case(op, (size.latent,), size)
    if size is not LARGE:
        yield _case(ops.ELBO, (size.latent, size.pixels), size)


def _case(op: Op, shapes: tuple[Shape, ...], size: Size) -> Case:
    described = cases.case_of(op, shapes)
    assert described.min_bytes is not None
    return Case(op, shapes, size.launch_bound, described.size, described.elements, described.min_bytes)
