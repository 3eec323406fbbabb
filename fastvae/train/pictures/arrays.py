"""What a model makes of images and of the latent: the arrays that pictures are drawn from.

Images come out in [0, 1]: grey ones as ``[..., height, width]``, others as ``[..., height, width, channels]``, of which
three are red, green and blue, and a fourth is opacity. Dimensions of the latent are counted from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastvae import CVAE, VAE, DiagonalGaussian
from fastvae.networks import fractions
from fastvae.train.data.conditions import Label, Quadrants
from fastvae.train.data.datasets import Split
from fastvae.train.models.conditional import Baseline

Array = NDArray[Any]
# Columns of images, ``[rows, columns, ...]``, and what is written above them.
Group = tuple[str, Array]

UNIT: Final = "(prior standard deviations)"
_MANIFOLD_SIDE: Final = 20
_PER_LABEL: Final = 10
_DRAWN_CHANNELS: Final = (1, 3, 4)
_COMPLETIONS: Final = 6
_AVERAGED: Final = 100
# What is not known of an image, in a picture of it.
_UNKNOWN: Final = 0.5


def drawable(shape: Sequence[int]) -> bool:
    """Whether samples of `shape` are images: ``(channels, height, width)`` of 1, 3 or 4 channels."""
    return len(shape) == 3 and shape[0] in _DRAWN_CHANNELS


def not_images(shape: Sequence[int]) -> str:
    """What to say of samples that are not `drawable`."""
    return f"samples of shape {tuple(shape)} are no images, which have 1, 3 or 4 channels, a height and a width"


def images(values: Tensor) -> Array:
    """``[..., channels, height, width]``, in [0, 1] or uint8, as an array of images in [0, 1]."""
    last = values.movedim(-3, -1)
    array: Array = (last[..., 0] if last.shape[-1] == 1 else last).float().cpu().numpy()
    return array / 255 if values.dtype == torch.uint8 else array


def one_of_each(labels: Tensor) -> Tensor:
    """The images' indices: the first of each label in the order of the labels, then the second of each, ..."""
    array = labels.cpu().numpy()
    rank = np.empty_like(array)
    for label in np.unique(array):
        where = array == label
        rank[where] = np.arange(where.sum())
    return torch.from_numpy(np.lexsort((array, rank))).to(labels.device)


def first_of_each(labels: Tensor) -> Tensor:
    """The index of the first image of each label, in the order of the labels."""
    return one_of_each(labels)[: len(labels.unique())]


def examples(split: Split, labels: int, count: int = 10) -> Tensor:
    """The index of the first image of each label, of the first `count` of them.

    Args:
        split: the images.
        labels: how many there are; without any it is the first images.
        count: at most so many.
    """
    return first_of_each(split.labels)[:count] if labels else torch.arange(min(count, len(split.images)))


def spread(count: int, most: int) -> list[int]:
    """0 to `count` - 1, or `most` of them, the first and the last among them, about as far from each other."""
    return [round(float(label)) for label in np.linspace(0, count - 1, min(count, most))]


def plane(batches: Sequence[DiagonalGaussian]) -> tuple[Array, tuple[str, str]]:
    """Two coordinates to draw each posterior at, ``[count, 2]``, and their names.

    The mean itself where it has two dimensions, with its standard deviation where it has one, and its first two
    principal components where it has more.
    """
    means, stds = (
        torch.cat([getattr(posterior, name).flatten(1) for posterior in batches]).double().cpu().numpy()
        for name in ("mean", "std")
    )
    if means.shape[1] == 1:
        return np.hstack((means, stds)), (f"mean of $z$ {UNIT}", f"standard deviation of $z$ {UNIT}")
    if means.shape[1] == 2:
        return means, (f"$z_0$ {UNIT}", f"$z_1$ {UNIT}")
    centred = means - means.mean(0)
    # Of the covariance, which has an eigenvector for each dimension even of fewer images; eigenvalues ascend.
    variances, directions = np.linalg.eigh(centred.T @ centred)
    directions = directions[:, :-3:-1]
    # A component's sign is arbitrary: the largest weight positive makes the picture the same everywhere.
    directions *= np.sign(directions[np.abs(directions).argmax(0), np.arange(2)])
    shares = 100 * variances[:-3:-1].clip(0) / max(float(variances.sum()), 1e-30)
    first, second = (
        f"principal component {number}, {share:.0f} % of variance\n{UNIT}" for number, share in enumerate(shares, 1)
    )
    return centred @ directions, (first, second)


def decoded(model: VAE, z: Tensor) -> Array:
    """The means in data space at latents of ``[rows, columns, ...]``."""
    return images(model.decode(z.flatten(0, 1), mean=True).unflatten(0, z.shape[:2]))


def manifold(model: VAE, device: torch.device) -> tuple[Array, Array]:
    """The normal quantiles 0.05 to 0.95, and what a 2-D latent decodes to at each pair of them, by row from the top."""
    levels = torch.linspace(0.05, 0.95, _MANIFOLD_SIDE, dtype=torch.float64)
    quantiles = torch.special.ndtri(levels).float()
    # Rows from the top: the largest z_1 first, as on paper.
    z1, z0 = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    grid = decoded(model, torch.stack((z0, z1), 2).to(device))
    return quantiles.numpy(), grid.reshape(-1, *grid.shape[2:])


def interpolations(model: VAE, starts: Tensor, ends: Tensor, columns: int) -> Array:
    """Decoded on the line from each of `starts`, ``[rows, ...]``, to its end: ``[rows, columns, ...]``."""
    weights = torch.linspace(0, 1, columns, device=starts.device).view(-1, *[1] * (starts.dim() - 1))
    return decoded(model, torch.lerp(starts[:, None], ends[:, None], weights))


def traversals(model: VAE, z: Tensor, dimensions: Sequence[int], values: Tensor) -> Array:
    """Decoded at `z`, ``[latent]``, with one of `dimensions` after the other set to each of `values`."""
    latents = z.repeat(len(dimensions), len(values), 1)
    for row, dimension in enumerate(dimensions):
        latents[row, :, dimension] = values
    return decoded(model, latents)


def for_each_label(model: CVAE | Baseline, label: Label, labels: Sequence[int], seed: int) -> Group:
    """A row for each of `labels`; a column is the same latent for all of them."""
    codes = label.encode(torch.tensor(labels, device=next(model.parameters()).device))
    if isinstance(model, Baseline):
        return "prediction", _columns(model.predict(codes)[None])
    # One draw for all labels: the same seed and shape of a label's own.
    drawn = [model.sample(code[None], _PER_LABEL, seed=seed) for code in codes]
    return "each column the same latent", _columns(torch.cat(drawn, 1))


def known_and_original(quadrants: Quadrants, images: Tensor) -> list[Group]:
    """The quadrants that are given, and the whole images."""
    known, unknown = quadrants(images, images)
    part = quadrants.whole(known, torch.full_like(unknown, _UNKNOWN, dtype=torch.float32))
    return [("given", _columns(part[None])), ("original", _columns(fractions(images)[None]))]


def completions(
    model: CVAE | Baseline, quadrants: Quadrants, images: Tensor, seed: int, samples: int = _COMPLETIONS
) -> Array:
    """The known quadrants of images with what a model makes of the others, a column for each of so many latents.

    They are from the prior; a network without a latent has one column.
    """
    known, _ = quadrants(images, images)
    targets = model.predict(known)[None] if isinstance(model, Baseline) else model.sample(known, samples, seed=seed)
    return _columns(torch.stack([quadrants.whole(known, target) for target in targets]))


def predicted_completions(model: CVAE, quadrants: Quadrants, images: Tensor, seed: int) -> list[Group]:
    """The same at the prior's mean, and averaged over the prior."""
    known, _ = quadrants(images, images)
    targets = {"mean $z$": model.predict(known), "average": model.predict(known, _AVERAGED, seed=seed)}
    return [(name, _columns(quadrants.whole(known, target)[None])) for name, target in targets.items()]


def _columns(values: Tensor) -> Array:
    """``[columns, rows, channels, height, width]`` to an array of images, ``[rows, columns, ...]``."""
    return images(values.transpose(0, 1))
