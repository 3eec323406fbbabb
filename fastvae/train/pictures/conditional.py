"""What a conditional run's model makes of labels and of quadrants: the arrays that its pictures are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from fastvae import CVAE
from fastvae.networks import fractions
from fastvae.plots.arrays import Array, Group, images
from fastvae.train.data.conditions import Label, Quadrants
from fastvae.train.models.conditional import Baseline

_PER_LABEL: Final = 10
_COMPLETIONS: Final = 6
_AVERAGED: Final = 100
# What is not known of an image, in a picture of it.
_UNKNOWN: Final = 0.5


def for_each_label(model: CVAE | Baseline, label: Label, labels: Sequence[int], seed: int) -> Group:
    """A row for each of `labels`; a column is the same latent for all of them."""
    codes = label.encode(torch.tensor(labels, device=next(model.parameters()).device))
    if isinstance(model, Baseline):
        return "prediction", _columns(model.predict(codes)[None])
    # One draw for all labels: the same seed and shape of a label's own.
    drawn = [model.sample(code[None], _PER_LABEL, seed=seed) for code in codes]
    return "each column the same latent", _columns(torch.cat(drawn, 1))


def known_and_original(quadrants: Quadrants, shown: Tensor) -> list[Group]:
    """The quadrants that are given, and the whole images."""
    known, unknown = quadrants(shown, shown)
    part = quadrants.whole(known, torch.full_like(unknown, _UNKNOWN, dtype=torch.float32))
    return [("given", _columns(part[None])), ("original", _columns(fractions(shown)[None]))]


def completions(
    model: CVAE | Baseline, quadrants: Quadrants, shown: Tensor, seed: int, samples: int = _COMPLETIONS
) -> Array:
    """The known quadrants of images with what a model makes of the others, a column for each of so many latents.

    They are from the prior; a network without a latent has one column.
    """
    known, _ = quadrants(shown, shown)
    targets = model.predict(known)[None] if isinstance(model, Baseline) else model.sample(known, samples, seed=seed)
    return _columns(torch.stack([quadrants.whole(known, target) for target in targets]))


def predicted_completions(model: CVAE, quadrants: Quadrants, shown: Tensor, seed: int) -> list[Group]:
    """The same at the prior's mean, and averaged over the prior."""
    known, _ = quadrants(shown, shown)
    targets = {"mean $z$": model.predict(known), "average": model.predict(known, _AVERAGED, seed=seed)}
    return [(name, _columns(quadrants.whole(known, target)[None])) for name, target in targets.items()]


def _columns(values: Tensor) -> Array:
    """``[columns, rows, channels, height, width]`` to an array of images, ``[rows, columns, ...]``."""
    return images(values.transpose(0, 1))
