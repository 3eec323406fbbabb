"""Strided convolutions over grey images of a size divisible by 4."""

from __future__ import annotations

import math
from typing import Final

from torch import nn

from fastvae.networks.layers import Layers, dense

_CHANNELS: Final = (32, 64)


def conv(
    size: tuple[int, int], layers: Layers, latent_dim: int, channels: int, *, padding: int, first_channels: int
) -> tuple[list[nn.Module], list[nn.Module]]:
    """Two strided convolutions each way (Higgins et al. 2017, scaled to small images), dense layers between them.

    Args:
        size: height and width of the images.
        layers, latent_dim, channels: see `fastvae.networks.build`.
        padding: of the encoder's convolutions; the decoder's double the size exactly.
        first_channels: of the decoder's first feature map.

    Returns:
        The layers of an encoder of ``[batch, 1, height, width]``, and those of a decoder of ``[batch, latent_dim]``.

    Raises:
        ValueError: a height or width that is not divisible by 4, or too small.
    """
    narrow, wide = _CHANNELS
    encoded = [_halved(_halved(side, padding), padding) for side in size]
    if any(side % 4 for side in size) or min(encoded) < 1:
        least = 4 if padding else 8
        raise ValueError(f"size: got {size!r}; takes a height and a width divisible by 4, at least {least} each")
    first_map = (first_channels, size[0] // 4, size[1] // 4)
    encoder = [
        nn.Conv2d(1, narrow, 3, stride=2, padding=padding),
        layers.between(),
        nn.Conv2d(narrow, wide, 3, stride=2, padding=padding),
        layers.between(),
        nn.Flatten(),
        *dense((wide * math.prod(encoded), *layers.encoder, 2 * latent_dim), layers),
    ]
    decoder = [
        *dense((latent_dim, *layers.decoder, math.prod(first_map)), layers),
        layers.between(),
        nn.Unflatten(1, first_map),
        nn.ConvTranspose2d(first_channels, wide, 3, stride=2, padding=1, output_padding=1),
        layers.between(),
        nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1),
        layers.between(),
        nn.ConvTranspose2d(narrow, channels, 3, padding=1),
    ]
    return encoder, decoder


def _halved(side: int, padding: int) -> int:
    """What a convolution with a kernel of 3 and a stride of 2 leaves of a side."""
    return (side + 2 * padding - 3) // 2 + 1
