"""Residual networks over images of any size, in the shape of the autoencoder of latent diffusion."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from torch import Tensor, nn

from fastvae.networks.layers import Layers, dense
from fastvae.networks.plan import Parts, Plan, halvings, sizes

_NARROWEST: Final = 32
_WIDEST: Final = 128
_LARGE: Final = 64
# Channels that are normalized together, at least: of one, the norm would lose how bright a feature map is.
_GROUPED: Final = 4
_GROUPS: Final = 8


def widths(size: tuple[int, ...], latent: str) -> tuple[int, ...]:
    """By default: 32 channels, doubled whenever the image is halved, up to 128."""
    return tuple(min(_NARROWEST << level, _WIDEST) for level in range(halvings(size, latent) + 1))


def blocks(size: tuple[int, ...]) -> int:
    """By default: one at each width, and two for images of 64 pixels and more a side."""
    return 2 if max(size) >= _LARGE else 1


class Residual(nn.Module):
    """What two convolutions of a feature map, normalized, add to it (He et al. 2016), as many channels as before.

    Args:
        width: how many.
        layers: the activation, and a dropout before the second convolution.
    """

    def __init__(self, width: int, layers: Layers) -> None:
        super().__init__()
        dropout = [nn.Dropout(layers.dropout)] if layers.dropout else []
        self.added = nn.Sequential(
            *_normalized(width, layers),
            nn.Conv2d(width, width, 3, padding=1),
            *_normalized(width, layers),
            *dropout,
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, width, height, width]`` to the same shape."""
        added: Tensor = self.added(x)
        return x + added


def resnet(plan: Plan) -> Parts:
    """Residual blocks at each width, a strided convolution to the next one, and back (Rombach et al. 2022).

    As their AutoencoderKL, without attention, its channels changed where the size is: GroupNorm, SiLU, 3 x 3
    convolutions, nearest neighbours upwards, each feature map to the very size of its counterpart in the encoder.

    Args:
        plan: of images. A vector latent is reached from the last feature map by dense layers, which may be one.

    Raises:
        ValueError: a width below 4.
    """
    if min(plan.widths) < _GROUPED:
        raise ValueError(f"widths: got {plan.widths}; takes at least {_GROUPED} each with architecture 'resnet'")
    layers, (channels, *size) = plan.layers, plan.shape
    *outer, innermost = sizes(tuple(size), len(plan.widths) - 1)
    narrowest, widest = plan.widths[0], plan.widths[-1]

    def residuals(width: int) -> list[nn.Module]:
        return [Residual(width, layers) for _ in range(plan.blocks)]

    encoder: list[nn.Module] = [nn.Conv2d(channels, narrowest, 3, padding=1), *residuals(narrowest)]
    for narrow, wide in pairwise(plan.widths):
        encoder += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), *residuals(wide)]
    encoder += _normalized(widest, layers)
    if plan.spatial:
        encoder += [nn.Conv2d(widest, plan.moments, 3, padding=1)]
        decoder: list[nn.Module] = [nn.Conv2d(plan.latents, widest, 3, padding=1)]
    else:
        features = widest * math.prod(innermost)
        encoder += [nn.Flatten(), *dense((features, *layers.encoder, plan.moments), layers)]
        decoder = dense((plan.latents, *layers.decoder, features), layers)
        decoder += [nn.Unflatten(1, (widest, *innermost))]
    decoder += residuals(widest)
    for (wide, narrow), target in zip(pairwise(plan.widths[::-1]), outer[::-1], strict=True):
        decoder += [nn.Upsample(size=target), nn.Conv2d(wide, narrow, 3, padding=1), *residuals(narrow)]
    decoder += [*_normalized(narrowest, layers), nn.Conv2d(narrowest, plan.output[0], 3, padding=1)]
    return Parts(encoder, decoder, innermost)


def _normalized(width: int, layers: Layers) -> list[nn.Module]:
    """GroupNorm, in up to 8 groups of at least 4 channels, and an activation."""
    groups = max(1, math.gcd(width, _GROUPS * _GROUPED) // _GROUPED)
    return [nn.GroupNorm(groups, width), layers.between()]
