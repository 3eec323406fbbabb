"""Dense layers over the pixels of grey images of any size."""

from __future__ import annotations

from torch import nn

from fastvae.networks.layers import Layers, dense


def mlp(
    size: tuple[int, int], layers: Layers, latent_dim: int, channels: int
) -> tuple[list[nn.Module], list[nn.Module]]:
    """The layers of an encoder of ``[batch, 1, height, width]``, and those of a decoder of ``[batch, latent_dim]``."""
    height, width = size
    pixels = height * width
    encoder = [nn.Flatten(), *dense((pixels, *layers.encoder, 2 * latent_dim), layers)]
    decoder = [
        *dense((latent_dim, *layers.decoder, channels * pixels), layers),
        nn.Unflatten(1, (channels, height, width)),
    ]
    return encoder, decoder
