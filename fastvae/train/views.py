"""What a model makes of images and of the latent: the arrays that pictures are drawn from.

Images come out as ``[..., height, width]`` in [0, 1]. Dimensions of the latent are counted from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastvae import VAE, DiagonalGaussian

Array = NDArray[Any]

UNIT: Final = "(prior standard deviations)"
_BATCH: Final = 500
_MANIFOLD_SIDE: Final = 20


def images(values: Tensor) -> Array:
    """``[count, 1, height, width]`` in [0, 1], or uint8, as an array of ``[count, height, width]`` in [0, 1]."""
    array: Array = values[:, 0].float().cpu().numpy()
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


def posteriors(model: VAE, values: Tensor) -> list[DiagonalGaussian]:
    """q(z|x) of images, in batches."""
    return [model.encode(batch) for batch in values.split(_BATCH)]


def plane(batches: Sequence[DiagonalGaussian]) -> tuple[Array, tuple[str, str]]:
    """Two coordinates to draw each posterior at, ``[count, 2]``, and their names.

    The mean itself where it has two dimensions, with its standard deviation where it has one, and its first two
    principal components where it has more.
    """
    means, stds = (
        torch.cat([getattr(posterior, name) for posterior in batches]).double().cpu().numpy()
        for name in ("mean", "std")
    )
    if means.shape[1] == 1:
        return np.hstack((means, stds)), (f"mean of $z$ {UNIT}", f"standard deviation of $z$ {UNIT}")
    if means.shape[1] == 2:
        return means, (f"$z_0$ {UNIT}", f"$z_1$ {UNIT}")
    centred = means - means.mean(0)
    # Of the covariance, which has a direction for each dimension however few the images are; the largest come last.
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
    """The means in data space at latents of ``[..., latent]``."""
    array = images(model.decode(z.flatten(0, -2), mean=True))
    return array.reshape(*z.shape[:-1], *array.shape[1:])


def manifold(model: VAE, device: torch.device) -> tuple[Array, Array]:
    """The normal quantiles 0.05 to 0.95, and what a 2-D latent decodes to at each pair of them, by row from the top."""
    levels = torch.linspace(0.05, 0.95, _MANIFOLD_SIDE, dtype=torch.float64)
    quantiles = torch.special.ndtri(levels).float()
    # Rows from the top: the largest z_1 first, as on paper.
    z1, z0 = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    return quantiles.numpy(), decoded(model, torch.stack((z0.flatten(), z1.flatten()), 1).to(device))


def interpolations(model: VAE, starts: Tensor, ends: Tensor, columns: int) -> Array:
    """Decoded on the line from each of `starts`, ``[rows, latent]``, to its end: ``[rows, columns, ...]``."""
    weights = torch.linspace(0, 1, columns, device=starts.device)[:, None]
    return decoded(model, torch.lerp(starts[:, None], ends[:, None], weights))


def traversals(model: VAE, z: Tensor, dimensions: Sequence[int], values: Tensor) -> Array:
    """Decoded at `z`, ``[latent]``, with one of `dimensions` after the other set to each of `values`."""
    latents = z.repeat(len(dimensions), len(values), 1)
    for row, dimension in enumerate(dimensions):
        latents[row, :, dimension] = values
    return decoded(model, latents)
