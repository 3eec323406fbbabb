"""Strided convolutions over images of any size."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import nn

from fastvae.networks.layers import dense
from fastvae.networks.plan import Parts, Plan, halvings, sizes


def widths(size: tuple[int, ...], latent: str) -> tuple[int, ...]:
    """By default: 32 channels, then 64 for as long as it is halved, twice at least."""
    return 32, *[64] * max(1, halvings(size, latent) - 1)


def conv(plan: Plan, *, padding: int, first: int) -> Parts:
    """Strided convolutions each way (Higgins et al. 2017, scaled to small images), dense layers between them.

    Every feature map of the decoder has half the size of the next one, rounded up, so that images of odd sizes come
    out as large as they were. A spatial latent has convolutions in place of the dense layers.

    Args:
        plan: of images; its blocks are not asked for.
        padding: of the encoder's convolutions: with 0 the pixels at the border are seen less, or not at all.
        first: the decoder's first feature map has as many channels as ``widths[first]``.

    Raises:
        ValueError: images too small for convolutions without padding.
    """
    layers, (channels, *size) = plan.layers, plan.shape
    encoded = [_convolved(side, padding, len(plan.widths)) for side in size]
    if min(encoded) < 1:
        least = 2 ** (len(plan.widths) + 1) - 1
        raise ValueError(f"shape: got {plan.shape}; takes a height and a width of at least {least} each")
    *outer, innermost = sizes(tuple(size), len(plan.widths))
    last, first_map = plan.widths[-1], (plan.widths[first], *innermost)
    encoder: list[nn.Module] = []
    for narrow, wide in pairwise((channels, *plan.widths)):
        encoder += [nn.Conv2d(narrow, wide, 3, stride=2, padding=padding), layers.between()]
    if plan.spatial:
        encoder += [nn.Conv2d(last, plan.moments, 3, padding=1)]
        decoder: list[nn.Module] = [nn.Conv2d(plan.latents, first_map[0], 3, padding=1), layers.between()]
    else:
        encoder += [nn.Flatten(), *dense((last * math.prod(encoded), *layers.encoder, plan.moments), layers)]
        decoder = dense((plan.latents, *layers.decoder, math.prod(first_map)), layers)
        decoder += [layers.between(), nn.Unflatten(1, first_map)]
    for (wide, narrow), target in zip(pairwise((first_map[0], *plan.widths[::-1])), outer[::-1], strict=True):
        # The one of the two sizes that a convolution of stride 2 could have come from.
        even = (1 - target[0] % 2, 1 - target[1] % 2)
        decoder += [nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=even), layers.between()]
    decoder += [nn.ConvTranspose2d(plan.widths[0], plan.output[0], 3, padding=1)]
    return Parts(encoder, decoder, innermost)


def _convolved(side: int, padding: int, times: int) -> int:
    """What so many convolutions with a kernel of 3 and a stride of 2 leave of a side."""
    for _ in range(times):
        side = (side + 2 * padding - 3) // 2 + 1
    return side
