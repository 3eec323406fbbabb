"""Shapes of samples, views into packed encoder outputs, and images beside flat predictions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def sample_shape(shape: torch.Size, num_samples: int | None) -> torch.Size:
    """`num_samples` samples of each posterior of `shape`; None draws one, without a dimension of its own."""
    return shape if num_samples is None else torch.Size((num_samples, *shape))


def unpacked_shape(moments: Tensor, dim: int) -> torch.Size:
    """The shape of mu, and of the scale, in a packed encoder output."""
    sizes = list(moments.shape)
    sizes[dim] //= 2
    return torch.Size(sizes)


def unpack(moments: Tensor, dim: int, interleaved: bool) -> tuple[Tensor, Tensor]:
    """The (mu, scale) views of a packed encoder output: its halves along `dim`, or its even and odd entries."""
    if interleaved:
        pairs = moments.unflatten(dim, (moments.shape[dim] // 2, 2))
        return pairs.select(dim + 1, 0), pairs.select(dim + 1, 1)
    half = moments.shape[dim] // 2
    return moments.narrow(dim, 0, half), moments.narrow(dim, half, half)


def rows(x: Tensor, batch_dims: int = 1) -> Tensor:
    """`x` as ``[batch, dims]``: a view where its strides allow one."""
    return x.reshape(x.shape[:batch_dims].numel(), x.shape[batch_dims:].numel())


def flattened_like(x: Any, prediction: Any) -> Any:
    """`x` as ``[batch, features]`` where `prediction` is that and `x` has as many features in more dimensions."""
    if not (isinstance(x, Tensor) and isinstance(prediction, Tensor)):
        return x  # whose mistake is named by the checks of a loss
    images = prediction.dim() == 2 and x.dim() > 2 and x.shape[1:].numel() == prediction.shape[1]
    return x.flatten(1) if images else x
