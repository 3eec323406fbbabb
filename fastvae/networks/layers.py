"""What the networks are made of: numbers from what is stored, dense layers, first weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from fastvae.networks.dropout import Dropout

ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}
_DROPPING_LAYERS: Final = 2


def fractions(images: Tensor) -> Tensor:
    """uint8 values as float32 in [0, 1]: value / 255, as the losses read a uint8 target. Any shape.

    Floating-point numbers are taken as they are, and all others, such as bools, as float32.
    """
    if images.dtype == torch.uint8:
        return images.to(torch.float32) / 255
    return images if images.is_floating_point() else images.to(torch.float32)


class Pixels(nn.Module):
    """`fractions` as the first layer of an encoder, so that images stay uint8 until a network needs them."""

    def forward(self, images: Tensor) -> Tensor:
        """``[batch, ...]`` uint8 to the same shape in float32; floating point to itself."""
        return fractions(images)


class LogCounts(nn.Module):
    """log(1 + count) as the first layer of an encoder, as in scVI: counts of a few and of thousands side by side."""

    def forward(self, counts: Tensor) -> Tensor:
        """``[batch, ...]`` of any dtype, at least 0, to the same shape in floating point."""
        return torch.log1p(counts if counts.is_floating_point() else counts.to(torch.float32))


# What the numbers of x are, and so the first layer of an encoder.
VALUES: Final[dict[str, Callable[[], nn.Module]]] = {"unit": Pixels, "real": Pixels, "counts": LogCounts}


class Layers(NamedTuple):
    """What the dense layers of a model are, and what stands between all its layers.

    Attributes:
        encoder: widths of the dense layers from the image to the latent.
        decoder: those from the latent to the image.
        activation: between the layers, a key of `ACTIVATIONS`: ``"relu"``, ``"tanh"`` or ``"silu"``.
        dropout: the probability that a value is dropped after the first two dense layers.
    """

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    activation: str = "relu"
    dropout: float = 0.0

    def between(self) -> nn.Module:
        """A new activation.

        Raises:
            ValueError: an unknown one.
        """
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {self.activation!r}; takes one of {tuple(ACTIVATIONS)}")
        return ACTIVATIONS[self.activation]()


def dense(widths: Sequence[int], layers: Layers) -> list[nn.Module]:
    """Linear layers through `widths`, input and output included, with an activation after each but the last."""
    modules: list[nn.Module] = []
    for number, (width_in, width_out) in enumerate(pairwise(widths), 1):
        modules.append(nn.Linear(width_in, width_out))
        if number < len(widths) - 1:
            modules.append(layers.between())
            if layers.dropout and number <= _DROPPING_LAYERS:
                modules.append(Dropout(layers.dropout))
    return modules


def initialise(network: nn.Module) -> None:
    """Glorot-uniform weights (Glorot & Bengio 2010) and zero biases, in place; norms begin with 1 and 0, as in torch.

    Activations and gradients then keep their variance through the layers, and a fresh posterior has a log-variance near
    zero, so that its KL starts small.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
