"""The encoders and decoders that the command line offers, for grey images of a size divisible by 4.

Weights start Glorot-uniform (Glorot & Bengio 2010) and biases at zero: activations and gradients keep their variance
through the layers, and a fresh posterior has a log-variance near zero, so its KL starts small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple

from torch import Tensor, nn

from fastvae._likelihoods import LIKELIHOODS
from fastvae.train.pixels import fractions

_CHANNELS: Final = (32, 64)


class Pixels(nn.Module):
    """uint8 images in, float32 pixels in [0, 1] out: the data stays uint8 until a network needs it."""

    def forward(self, images: Tensor) -> Tensor:
        """``[batch, ...]`` uint8 to the same shape in float32."""
        return fractions(images)


class Layers(NamedTuple):
    """What the networks of a model share.

    Attributes:
        encoder: widths of the dense layers from the image to the latent.
        decoder: those from the latent to the image.
        activation: between the layers: ``"relu"`` or ``"tanh"``.
        dropout: the probability that a value is dropped after the first two dense layers.
    """

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    activation: str = "relu"
    dropout: float = 0.0

    def between(self) -> nn.Module:
        """A new activation."""
        return _ACTIVATIONS[self.activation]()


_ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
_DROPPING_LAYERS: Final = 2


def dense(widths: Sequence[int], layers: Layers) -> list[nn.Module]:
    """Linear layers through `widths`, an activation after each but the last."""
    modules: list[nn.Module] = []
    for number, (width_in, width_out) in enumerate(pairwise(widths), 1):
        modules.append(nn.Linear(width_in, width_out))
        if number < len(widths) - 1:
            modules.append(layers.between())
            if layers.dropout and number <= _DROPPING_LAYERS:
                modules.append(nn.Dropout(layers.dropout))
    return modules


def _mlp(size: tuple[int, int], layers: Layers, latent_dim: int) -> tuple[list[nn.Module], list[nn.Module]]:
    height, width = size
    pixels = height * width
    encoder = [nn.Flatten(), *dense((pixels, *layers.encoder, 2 * latent_dim), layers)]
    decoder = [*dense((latent_dim, *layers.decoder, pixels), layers), nn.Unflatten(1, (1, height, width))]
    return encoder, decoder


def _conv(
    size: tuple[int, int], layers: Layers, latent_dim: int, *, padding: int, channels: int
) -> tuple[list[nn.Module], list[nn.Module]]:
    """Two strided convolutions each way (Higgins et al. 2017, scaled to small images), dense layers between them.

    Args:
        padding: of the encoder's convolutions; the decoder's double the size exactly.
        channels: of the decoder's first grid.
    """
    narrow, wide = _CHANNELS
    shrunk = [((side + 2 * padding - 3) // 2 + 1 + 2 * padding - 3) // 2 + 1 for side in size]
    grid = (channels, size[0] // 4, size[1] // 4)
    encoder = [
        nn.Conv2d(1, narrow, 3, stride=2, padding=padding),
        layers.between(),
        nn.Conv2d(narrow, wide, 3, stride=2, padding=padding),
        layers.between(),
        nn.Flatten(),
        *dense((wide * math.prod(shrunk), *layers.encoder, 2 * latent_dim), layers),
    ]
    decoder = [
        *dense((latent_dim, *layers.decoder, math.prod(grid)), layers),
        layers.between(),
        nn.Unflatten(1, grid),
        nn.ConvTranspose2d(channels, wide, 3, stride=2, padding=1, output_padding=1),
        layers.between(),
        nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1),
        layers.between(),
        nn.ConvTranspose2d(narrow, 1, 3, padding=1),
    ]
    return encoder, decoder


_Builder = Callable[[tuple[int, int], Layers, int], tuple[list[nn.Module], list[nn.Module]]]
_MODELS: Final[dict[str, _Builder]] = {
    "mlp": _mlp,
    "conv": partial(_conv, padding=1, channels=64),
    "conv_valid": partial(_conv, padding=0, channels=32),
}


def output(likelihood: str, floor: float = 0.0) -> list[nn.Module]:
    """What a decoder ends with: the likelihood's activation, and then at least `floor` from 0 and 1."""
    activation = LIKELIHOODS[likelihood].activation
    if activation is None:
        return []
    return [activation(), nn.Hardtanh(floor, 1 - floor)] if floor else [activation()]


def initialise(network: nn.Module) -> None:
    """Glorot-uniform weights, zero biases."""
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def build(
    model: str, size: tuple[int, int], layers: Layers, latent_dim: int, ending: Sequence[nn.Module] = ()
) -> tuple[nn.Sequential, nn.Sequential]:
    """An encoder of uint8 images to packed moments, and a decoder of latents to images.

    Args:
        model: ``"mlp"``, ``"conv"``, or ``"conv_valid"``, whose encoder pads nothing.
        size: height and width of the images, divisible by 4 but for ``"mlp"``.
        layers: the dense layers, and what is between layers.
        latent_dim: the size of the latent; the encoder's output is twice as wide.
        ending: what the decoder ends with, after its last layer.
    """
    encoder, decoder = _MODELS[model](size, layers, latent_dim)
    networks = nn.Sequential(Pixels(), *encoder), nn.Sequential(*decoder, *ending)
    for network in networks:
        initialise(network)
    return networks
