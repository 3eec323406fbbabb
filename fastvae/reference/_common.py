"""What the reference functions share: the compute dtype, targets and reductions."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae._outputs import compute_dtype


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
    if reduction == "mean":
        return loss.mean()
    total = loss.sum()
    return total / loss.shape[:batch_dims].numel() if reduction == "batchmean" else total
