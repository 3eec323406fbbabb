"""What the reference functions share: the compute dtype, targets and reductions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def compute_dtype(like: Tensor) -> torch.dtype:
    """The dtype of arithmetic and losses: float64 for float64, float32 for everything else.

    These two lines stand in `fastvae._outputs`, too: neither side of the comparison may follow the other.
    """
    return torch.float64 if like.dtype == torch.float64 else torch.float32


def upcast(value: Tensor, like: Tensor) -> Tensor:
    return value.to(compute_dtype(like))


def target_values(target: Tensor, like: Tensor) -> Tensor:
    """The target as numbers: uint8 is read as value / 255, bool as 0 and 1."""
    value = target.to(compute_dtype(like))
    return value / 255 if target.dtype == torch.uint8 else value


def reduce(loss: Tensor, reduction: str, batch_dims: int) -> Tensor:
    """One of the five reductions over a loss of `[batch, ...]`."""
    if reduction == "none":
        return loss
    if reduction == "sample":
        return loss if loss.dim() == batch_dims else loss.flatten(batch_dims).sum(-1)
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.mean()
    if reduction == "batchmean":
        return loss.sum() / math.prod(loss.shape[:batch_dims])  # which, unlike `numel`, takes symbolic sizes
    raise ValueError(f"reduction: got {reduction!r}; takes none, sample, sum, mean or batchmean")
