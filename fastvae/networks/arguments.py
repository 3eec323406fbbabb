"""The arguments of `fastvae.networks.build`: checked, and with every default filled in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypedDict, cast

from fastvae.losses._named import named
from fastvae.networks.architectures import ARCHITECTURES, LATENTS, Architecture
from fastvae.networks.layers import ACTIVATIONS, VALUES


class Options(TypedDict, total=False):
    """What has a default, see `resolve`.

    Examples:
        >>> options: fastvae.networks.Options = {"hidden": (64, 64), "activation": "tanh"}
        >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 20, **options)
    """

    latent: str
    likelihood: str | None
    values: str
    condition: int
    hidden: Sequence[int] | None
    decoder_hidden: Sequence[int] | None
    widths: Sequence[int] | None
    blocks: int | None
    activation: str | None
    dropout: float
    probability_floor: float
    out_channels: int | None


class Arguments(TypedDict):
    """All arguments of `build`, none of them a default to be looked up.

    Examples:
        >>> arguments: fastvae.networks.Arguments = fastvae.networks.resolve("mlp", (784,), 20)
        >>> arguments["hidden"], arguments["decoder_hidden"], arguments["out_channels"]
        ((400,), (400,), 784)
    """

    architecture: str
    shape: tuple[int, ...]
    latent_dim: int
    latent: str
    likelihood: str | None
    values: str
    condition: int
    hidden: tuple[int, ...]
    decoder_hidden: tuple[int, ...]
    widths: tuple[int, ...] | None
    blocks: int | None
    activation: str
    dropout: float
    probability_floor: float
    out_channels: int


def resolve(
    architecture: str,
    shape: Sequence[int],
    latent_dim: int,
    *,
    latent: str = "vector",
    likelihood: str | None = "bernoulli",
    values: str = "unit",
    condition: int = 0,
    hidden: Sequence[int] | None = None,
    decoder_hidden: Sequence[int] | None = None,
    widths: Sequence[int] | None = None,
    blocks: int | None = None,
    activation: str | None = None,
    dropout: float = 0.0,
    probability_floor: float = 0.0,
    out_channels: int | None = None,
) -> Arguments:
    """The same arguments with no default left to fill in: numbers, names, and tuples of them, as JSON holds them.

    ``build(**resolve(...))`` gives what ``build(...)`` gives, in a later version, with other defaults, too.

    Args:
        architecture: a key of `ARCHITECTURES`: ``"mlp"``, ``"conv"``, ``"conv_valid"``, whose encoder pads nothing, or
            ``"resnet"``.
        shape: of one x: ``(channels, height, width)`` of an image, in pixels, or any other for ``"mlp"``, such as
            ``(features,)``.
        latent_dim: the size of a vector latent, or the channels of a spatial one.
        latent: ``"vector"``, ``[batch, latent_dim]``, or, of ``"conv"`` and ``"resnet"``, ``"spatial"``, ``[batch,
            latent_dim, height, width]``, both a half, a quarter ... of the image's, rounded up.
        likelihood: its name, see `fastvae.ELBOLoss`: what the decoder ends with, and how many channels it has. None for
            one of your own: nothing follows the last layer.
        values: what the numbers of x are. ``"unit"``: in [0, 1], or uint8, read as value / 255; a mean ends in a
            sigmoid. ``"real"``: any. ``"counts"``: the encoder sees log(1 + count).
        condition: how many numbers are given beside x and beside the latent, such as labels, one-hot; 0 for none.
        hidden: widths of the dense layers between the image, or its last feature map, and a vector latent. None: 400
            for ``"mlp"``, 256 for ``"conv"``, none for ``"conv_valid"`` and ``"resnet"``.
        decoder_hidden: those of the decoder; None for the encoder's in reverse.
        widths: channels of the feature maps. Of ``"conv"``, one for each halving of the image; None: 32, then 64. Of
            ``"resnet"``, one for each size, the image's own included; None: 32, doubled up to 128. By default an image
            is halved until its sides are at most 8 (``"conv"`` twice at least, ``"resnet"`` once); before spatial
            latents three times at most.
        blocks: of ``"resnet"``, at each width; None: one, or two from images of 64 pixels a side on.
        activation: between the layers, a key of `ACTIVATIONS`. None: ``"silu"`` for ``"resnet"``, else ``"relu"``.
        dropout: the probability that a value is dropped after the first two dense layers each way; in ``"resnet"`` in
            each block, too.
        probability_floor: how far a probability is kept from 0 and 1, see `ending`.
        out_channels: of the decoder's output; None for those of the likelihood, see `decoder_channels`.

    Returns:
        A dict of all arguments of `build`, sequences as tuples.

    Raises:
        ValueError: what is unknown, out of its range, or not taken by the architecture.

    Examples:
        >>> arguments = fastvae.networks.resolve("conv", (3, 32, 32), 16)
        >>> arguments["hidden"], arguments["widths"], arguments["activation"]
        ((256,), (32, 64), 'relu')
        >>> networks = fastvae.networks.build(**arguments)
    """
    found = ARCHITECTURES[_one_of("architecture", architecture, ARCHITECTURES)]
    _one_of("latent", latent, [kind for kind in LATENTS if kind in found.latents], architecture)
    _one_of("values", values, VALUES)
    shape = _sizes("shape", shape)
    if not shape or (found.widths is not None and len(shape) != 3):
        takes = "at least one size" if found.widths is None else "(channels, height, width)"
        raise ValueError(f"shape: got {shape}; takes {takes} with architecture {architecture!r}")
    hidden = _hidden("hidden", found.hidden if hidden is None and latent == "vector" else hidden or (), latent)
    decoder_hidden = _hidden("decoder_hidden", hidden[::-1] if decoder_hidden is None else decoder_hidden, latent)
    if dropout and not (hidden or decoder_hidden or found.blocks):
        raise ValueError(f"dropout: got {dropout!r}; takes 0 without dense layers or residual blocks")
    widths, blocks = _of_feature_maps(architecture, found, shape, latent, widths, blocks)
    if likelihood is None and probability_floor:
        raise ValueError(f"probability_floor: got {probability_floor!r}; takes 0 without a likelihood")
    if out_channels is None:
        out_channels = shape[0] if likelihood is None else named(likelihood).decoder_channels(shape[0])
    return {
        "architecture": architecture,
        "shape": shape,
        "latent_dim": _count("latent_dim", latent_dim),
        "latent": latent,
        "likelihood": likelihood,
        "values": values,
        "condition": _count("condition", condition, least=0),
        "hidden": hidden,
        "decoder_hidden": decoder_hidden,
        "widths": widths,
        "blocks": blocks,
        "activation": _one_of("activation", activation or found.activation, ACTIVATIONS),
        "dropout": dropout,
        "probability_floor": probability_floor,
        "out_channels": _count("out_channels", out_channels),
    }


def _of_feature_maps(
    name: str, found: Architecture, shape: tuple[int, ...], latent: str, widths: Any, blocks: Any
) -> tuple[tuple[int, ...] | None, int | None]:
    """The widths and blocks of an architecture that has them."""
    for what, value, default in (("widths", widths, found.widths), ("blocks", blocks, found.blocks)):
        if value is not None and default is None:
            raise ValueError(f"{what}: got {value!r}; takes None with architecture {name!r}")
    if found.widths is not None:
        widths = _sizes("widths", found.widths(shape[1:], latent) if widths is None else widths)
        if not widths:
            raise ValueError("widths: got (); takes at least one")
    if found.blocks is not None:
        blocks = _count("blocks", found.blocks(shape[1:]) if blocks is None else blocks)
    return widths, blocks


def _hidden(name: str, widths: Sequence[int], latent: str) -> tuple[int, ...]:
    found = _sizes(name, widths)
    if found and latent == "spatial":
        raise ValueError(f"{name}: got {found}; takes none with latent 'spatial', which has no dense layers")
    return found


def _one_of(name: str, value: str, taken: Collection[str], architecture: str | None = None) -> str:
    if value not in taken:
        of = "" if architecture is None else f" with architecture {architecture!r}"
        raise ValueError(f"{name}: got {value!r}; takes one of {tuple(taken)}{of}")
    return value


def _sizes(name: str, values: object) -> tuple[int, ...]:
    if not isinstance(values, Sequence) or any(not _is_count(value) for value in values):
        raise ValueError(f"{name}: got {values!r}; takes ints of at least 1")
    return tuple(cast(Sequence[int], values))


def _count(name: str, value: object, least: int = 1) -> int:
    if not _is_count(value, least):
        raise ValueError(f"{name}: got {value!r}; takes an int of at least {least}")
    return cast(int, value)


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
