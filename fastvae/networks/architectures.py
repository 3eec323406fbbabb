"""The kinds of networks by name. A new kind is a file beside this one and a row here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from fastvae.networks import conv, resnet
from fastvae.networks.mlp import mlp
from fastvae.networks.plan import Parts, Plan

LATENTS: Final = ("vector", "spatial")


class Architecture(NamedTuple):
    """A kind of networks.

    Attributes:
        layers: of the encoder and of the decoder, from a `Plan`.
        hidden: widths of the encoder's dense layers by default.
        activation: between the layers by default.
        widths: channels of the feature maps by default, of the size of an image and the kind of latent. None for what
            takes any shape, and has no feature maps.
        blocks: residual blocks at each of them by default, of the size of an image; None for what has none.
        latents: kinds of latents that it takes.
    """

    layers: Callable[[Plan], Parts]
    hidden: tuple[int, ...]
    activation: str
    widths: Callable[[tuple[int, ...], str], tuple[int, ...]] | None
    blocks: Callable[[tuple[int, ...]], int] | None
    latents: tuple[str, ...]


ARCHITECTURES: Final[dict[str, Architecture]] = {
    "mlp": Architecture(mlp, (400,), "relu", None, None, ("vector",)),
    "conv": Architecture(partial(conv.conv, padding=1, first=-1), (256,), "relu", conv.widths, None, LATENTS),
    "conv_valid": Architecture(partial(conv.conv, padding=0, first=0), (), "relu", conv.widths, None, ("vector",)),
    "resnet": Architecture(resnet.resnet, (), "silu", resnet.widths, resnet.blocks, LATENTS),
}
