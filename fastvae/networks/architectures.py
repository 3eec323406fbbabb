"""The kinds of networks by name. A new kind is a file beside this one and a row here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from torch import nn

from fastvae.networks.conv import conv
from fastvae.networks.layers import Layers, Pixels, initialise
from fastvae.networks.mlp import mlp

_Architecture = Callable[[tuple[int, int], Layers, int, int], tuple[list[nn.Module], list[nn.Module]]]

ARCHITECTURES: Final[dict[str, _Architecture]] = {
    "mlp": mlp,
    "conv": partial(conv, padding=1, first_channels=64),
    "conv_valid": partial(conv, padding=0, first_channels=32),
}


def build(
    architecture: str,
    size: tuple[int, int],
    layers: Layers,
    latent_dim: int,
    ending: Sequence[nn.Module] = (),
    *,
    channels: int = 1,
) -> tuple[nn.Sequential, nn.Sequential]:
    """An encoder and a decoder of grey images, with fresh weights (see `initialise`) from torch's generator.

    Args:
        architecture: a key of `ARCHITECTURES`: ``"mlp"``, ``"conv"``, or ``"conv_valid"``, whose encoder pads nothing.
        size: height and width of the images, in pixels; divisible by 4 but for ``"mlp"``.
        layers: the dense layers, and what is between layers.
        latent_dim: the size of the latent; the encoder's output is twice as wide.
        ending: what the decoder ends with, see `fastvae.networks.ending`.
        channels: of the decoder's output, see `fastvae.networks.decoder_channels`.

    Returns:
        The encoder, of uint8 images ``[batch, 1, height, width]`` to mu and raw scale side by side, ``[batch, 2 *
        latent_dim]``; and the decoder, of latents ``[batch, latent_dim]`` to ``[batch, channels, height, width]``.

    Raises:
        ValueError: an unknown architecture or activation, a size that the architecture does not take, or no channels.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture: got {architecture!r}; takes one of {tuple(ARCHITECTURES)}")
    if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
        raise ValueError(f"channels: got {channels!r}; takes an int of at least 1")
    encoder, decoder = ARCHITECTURES[architecture](size, layers, latent_dim, channels)
    networks = nn.Sequential(Pixels(), *encoder), nn.Sequential(*decoder, *ending)
    for network in networks:
        initialise(network)
    return networks
