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

import torch
from torch import Tensor, nn

_CHANNELS: Final = (32, 64)


class Pixels(nn.Module):
    """uint8 images in, float32 pixels in [0, 1] out: the data stays uint8 until a network needs it."""

    def forward(self, images: Tensor) -> Tensor:
        """``[batch, ...]`` uint8 to the same shape in float32."""
        return images.to(torch.float32) / 255


def _dense(widths: Sequence[int]) -> list[nn.Module]:
    """Linear layers through `widths`, a ReLU after each but the last."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return layers[:-1]


class Widths(NamedTuple):
    """Of the dense layers, from the image to the latent and from the latent to the image."""

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]


def _mlp(size: tuple[int, int], hidden: Widths, latent_dim: int) -> tuple[list[nn.Module], list[nn.Module]]:
    height, width = size
    pixels = height * width
    encoder = [nn.Flatten(), *_dense((pixels, *hidden.encoder, 2 * latent_dim))]
    decoder = [*_dense((latent_dim, *hidden.decoder, pixels)), nn.Unflatten(1, (1, height, width))]
    return encoder, decoder


def _conv(
    size: tuple[int, int], hidden: Widths, latent_dim: int, *, padding: int, channels: int
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
        nn.ReLU(),
        nn.Conv2d(narrow, wide, 3, stride=2, padding=padding),
        nn.ReLU(),
        nn.Flatten(),
        *_dense((wide * math.prod(shrunk), *hidden.encoder, 2 * latent_dim)),
    ]
    decoder = [
        *_dense((latent_dim, *hidden.decoder, math.prod(grid))),
        nn.ReLU(),
        nn.Unflatten(1, grid),
        nn.ConvTranspose2d(channels, wide, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(narrow, 1, 3, padding=1),
    ]
    return encoder, decoder


_Builder = Callable[[tuple[int, int], Widths, int], tuple[list[nn.Module], list[nn.Module]]]
_MODELS: Final[dict[str, _Builder]] = {
    "mlp": _mlp,
    "conv": partial(_conv, padding=1, channels=64),
    "conv_valid": partial(_conv, padding=0, channels=32),
}


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def build(
    model: str,
    size: tuple[int, int],
    hidden: tuple[int, ...],
    latent_dim: int,
    *,
    logits: bool,
    decoder_hidden: tuple[int, ...] | None = None,
) -> tuple[nn.Sequential, nn.Sequential]:
    """An encoder of uint8 images to packed moments, and a decoder of latents to images.

    Args:
        model: ``"mlp"``, ``"conv"``, or ``"conv_valid"``, whose encoder pads nothing.
        size: height and width of the images, divisible by 4 but for ``"mlp"``.
        hidden: widths of the encoder's dense layers.
        latent_dim: the size of the latent; the encoder's output is twice as wide.
        logits: the decoder ends without an activation (its output is logits); otherwise with a sigmoid.
        decoder_hidden: widths of the decoder's dense layers; None for the encoder's in reverse.
    """
    widths = Widths(hidden, hidden[::-1] if decoder_hidden is None else decoder_hidden)
    encoder, decoder = _MODELS[model](size, widths, latent_dim)
    networks = nn.Sequential(Pixels(), *encoder), nn.Sequential(*decoder, *([] if logits else [nn.Sigmoid()]))
    for network in networks:
        network.apply(_initialise)
    return networks
