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
from torch.nn import functional

from fastvae.distributions import DiagonalGaussian
from fastvae.modules import CVAE, VAE

Array = NDArray[Any]
# Columns of images, ``[rows, columns, ...]``, and what is written above them.
Group = tuple[str, Array]

UNIT: Final = "(prior standard deviations)"
_MANIFOLD_SIDE: Final = 20
_MOST: Final = 2048
_DRAWN_CHANNELS: Final = (1, 3, 4)


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


def examples(labels: Tensor | None, total: int, count: int = 10) -> Tensor:
    """The index of the first image of each label, of the first `count` of them.

    Args:
        labels: of the images; without any it is the first images.
        total: how many images there are.
        count: at most so many.
    """
    return torch.arange(min(count, total)) if labels is None else first_of_each(labels)[:count]


def spread(count: int, most: int) -> list[int]:
    """0 to `count` - 1, or `most` of them, the first and the last among them, about as far from each other."""
    return [round(float(label)) for label in np.linspace(0, count - 1, min(count, most))]


def plane(batches: Sequence[DiagonalGaussian], unit: str = UNIT) -> tuple[Array, tuple[str, str]]:
    """Two coordinates to draw each posterior at, ``[count, 2]``, and their names, with what they are counted in.

    The mean itself where it has two dimensions, with its standard deviation where it has one, and its first two
    principal components where it has more.
    """
    means, stds = (
        torch.cat([getattr(posterior, name).flatten(1) for posterior in batches]).double().cpu().numpy()
        for name in ("mean", "std")
    )
    if means.shape[1] == 1:
        return np.hstack((means, stds)), (f"mean of $z$ {unit}".strip(), f"standard deviation of $z$ {unit}".strip())
    if means.shape[1] == 2:
        return means, (f"$z_0$ {unit}".strip(), f"$z_1$ {unit}".strip())
    centred = means - means.mean(0)
    # Of the covariance, which has an eigenvector for each dimension even of fewer images; eigenvalues ascend.
    variances, directions = np.linalg.eigh(centred.T @ centred)
    directions = directions[:, :-3:-1]
    # A component's sign is arbitrary: the largest weight positive makes the picture the same everywhere.
    directions *= np.sign(directions[np.abs(directions).argmax(0), np.arange(2)])
    shares = 100 * variances[:-3:-1].clip(0) / max(float(variances.sum()), 1e-30)
    first, second = (
        f"principal component {number}, {share:.0f} % of variance\n{unit}".strip()
        for number, share in enumerate(shares, 1)
    )
    return centred @ directions, (first, second)


def shrunk(values: Tensor, across: int) -> Tensor:
    """Images ``[..., channels, height, width]`` of which `across` side by side fit into `_MOST` pixels.

    Larger ones become means of squares of pixels: no page shows more, and each pixel of a figure takes tens of bytes.
    """
    factor = -(-across * max(values.shape[-2:]) // _MOST)
    if factor <= 1:
        return values
    fractions = values.float() / 255 if values.dtype == torch.uint8 else values
    pooled = functional.avg_pool2d(fractions.flatten(0, -4), factor, ceil_mode=True, count_include_pad=False)
    return torch.unflatten(pooled, 0, values.shape[:-3])


def decoded(model: VAE | CVAE, z: Tensor, condition: Tensor | None = None) -> Tensor:
    """The means in data space at latents of ``[rows, columns, ...]``, for a condition of ``[1, ...]`` or one a row.

    A row is decoded at a time, and what images it has are `shrunk`: the memory is that of the picture and of one row.
    """
    rows = []
    for index, row in enumerate(z):
        given = () if condition is None else (condition[[index % len(condition)] * len(row)],)
        means = model.decode(row, *given, mean=True)
        rows.append(shrunk(means, z.shape[1]) if means.dim() == 4 else means)
    return torch.stack(rows)


def quantiles(side: int, device: torch.device | None = None) -> Tensor:
    """`side` normal quantiles, of probabilities from 0.05 to 0.95."""
    levels = torch.linspace(0.05, 0.95, side, dtype=torch.float64)
    values: Tensor = torch.special.ndtri(levels)
    return values.float().to(device)


def manifold(
    model: VAE | CVAE, device: torch.device, condition: Tensor | None = None, side: int = _MANIFOLD_SIDE
) -> tuple[Array, Tensor]:
    """The `quantiles`, and what a 2-D latent decodes to at each pair of them, ``[side, side, ...]``, from the top."""
    values = quantiles(side, device)
    # Rows from the top: the largest z_1 first, as on paper.
    z1, z0 = torch.meshgrid(values.flip(0), values, indexing="ij")
    return values.cpu().numpy(), decoded(model, torch.stack((z0, z1), 2), condition)


def interpolations(
    model: VAE | CVAE, starts: Tensor, ends: Tensor, columns: int, condition: Tensor | None = None
) -> Tensor:
    """Decoded on the line from each of `starts`, ``[rows, ...]``, to its end: ``[rows, columns, ...]``."""
    weights = torch.linspace(0, 1, columns, device=starts.device).view(-1, *[1] * (starts.dim() - 1))
    return decoded(model, torch.lerp(starts[:, None], ends[:, None], weights), condition)


def traversals(
    model: VAE | CVAE, z: Tensor, dimensions: Sequence[int], values: Tensor, condition: Tensor | None = None
) -> Tensor:
    """Decoded at `z`, ``[latent]``, with one of `dimensions` after the other set to each of `values`."""
    latents = z.repeat(len(dimensions), len(values), 1)
    for row, dimension in enumerate(dimensions):
        latents[row, :, dimension] = values
    return decoded(model, latents, condition)
