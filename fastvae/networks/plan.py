"""What a pair of networks is to be, every default filled in, and the sizes that follow from that of an image."""

from __future__ import annotations

from typing import Final, NamedTuple

from torch import nn

from fastvae.networks.layers import Layers

# A feature map of at most so many a side is small enough for dense layers; latents keep more of an image's places.
_SMALL: Final = 8
# Halvings between an image and its spatial latent, as many as Stable Diffusion's autoencoder has.
_SPATIAL_HALVINGS: Final = 3


class Plan(NamedTuple):
    """A pair of networks.

    Attributes:
        shape: of one input of the encoder.
        output: of one output of the decoder.
        moments: numbers, or channels, that the encoder gives: twice the size of the latent.
        latents: numbers, or channels, that the decoder takes: the size of the latent, and what is given beside it.
        spatial: whether a latent has a height and a width.
        layers: the dense layers, and what is between layers.
        widths: channels of the feature maps, from the image on.
        blocks: residual blocks at each of these.
    """

    shape: tuple[int, ...]
    output: tuple[int, ...]
    moments: int
    latents: int
    spatial: bool
    layers: Layers
    widths: tuple[int, ...]
    blocks: int


class Parts(NamedTuple):
    """What an architecture makes of a plan.

    Attributes:
        encoder: the layers of an encoder of ``[batch, *shape]``.
        decoder: those of a decoder of ``[batch, latents, ...]``.
        innermost: height and width of the smallest feature map, and of a spatial latent; empty where there is none.
    """

    encoder: list[nn.Module]
    decoder: list[nn.Module]
    innermost: tuple[int, ...] = ()


def halved(side: int) -> int:
    """What a convolution with a stride of 2 leaves of a side, padded so that no pixel is lost: the half, rounded up."""
    return -(-side // 2)


def halvings(size: tuple[int, ...], latent: str) -> int:
    """How often an image is halved by default: at least once, and until neither side is longer than 8.

    Before a spatial latent three times at most.
    """
    count, side = 1, halved(max(size))
    while side > _SMALL:
        count, side = count + 1, halved(side)
    return min(count, _SPATIAL_HALVINGS) if latent == "spatial" else count


def sizes(size: tuple[int, ...], count: int) -> list[tuple[int, int]]:
    """Height and width of an image, and of its feature maps after each of `count` halvings."""
    height, width = size
    found = [(height, width)]
    for _ in range(count):
        height, width = halved(height), halved(width)
        found.append((height, width))
    return found
