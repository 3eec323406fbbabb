"""What of a config decides its networks."""

from __future__ import annotations

from typing import Any

import torch

from fastvae import networks
from fastvae.train.errors import UserError
from fastvae.train.settings.config import Config, Settings


def feature_maps(chosen: Settings) -> Settings:
    """The widths and blocks that images of this size have by default, where none are chosen."""
    kind, (_, *size) = networks.ARCHITECTURES.get(chosen["model"]), chosen["shape"]
    found: Settings = {}
    if kind is not None and len(size) == 2:
        if kind.widths is not None and chosen["widths"] is None:
            found["widths"] = kind.widths(tuple(size), chosen["latent"])
        if kind.blocks is not None and chosen["blocks"] is None:
            found["blocks"] = kind.blocks(tuple(size))
    return found


def arguments(config: Config) -> dict[str, Any]:
    """Those of `fastvae.networks.build`, but for the condition."""
    return {
        "architecture": config.model,
        "shape": config.shape,
        "latent_dim": config.latent_dim,
        "latent": config.latent,
        "likelihood": config.likelihood,
        "values": "unit" if config.values == "bytes" else config.values,
        "hidden": config.hidden,
        "decoder_hidden": config.decoder_hidden,
        "widths": config.widths,
        "blocks": config.blocks,
        "activation": config.activation,
        "dropout": config.dropout,
        "probability_floor": config.probability_floor,
    }


def latent(config: Config) -> str:
    """Its size in words."""
    if config.latent == "spatial":
        return f"spatial latent of {config.latent_dim} channel{'s' * (config.latent_dim > 1)}"
    return f"latent dimension {config.latent_dim}"


def check(config: Config) -> None:
    """Its networks can be built.

    Raises:
        UserError: they cannot, such as a likelihood of other numbers of channels.
    """
    try:
        with torch.device("meta"):
            networks.build(**arguments(config))
    except ValueError as error:
        raise UserError(f"--model {config.model}: {error}") from error
