"""Operands, reductions and gradients of one call over all rows of a `torch.func.vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fastvae._options import reduction_scale

Dims = Sequence[int | None]
One = Callable[..., Tensor]
Many = Callable[..., tuple[Tensor, ...]]
OneResult = tuple[Tensor, int]
Results = tuple[tuple[Tensor, ...], tuple[int | None, ...]]


def row_shape(value: Tensor, dim: int | None) -> torch.Size:
    return value.shape if dim is None else torch.Size((*value.shape[:dim], *value.shape[dim + 1 :]))


def rows_at(position: int, value: Tensor, dim: int | None, rows: int) -> Tensor:
    """`value` with its rows along `position`; the same for each row where it is not batched."""
    if dim is not None:
        return value.movedim(dim, position)
    return value.unsqueeze(position).expand(*value.shape[:position], rows, *value.shape[position:])


def operand(value: Tensor | None, dim: int | None, rows: int, rank: int) -> Tensor | None:
    """``[rows, ...]`` of an operand that, row by row, broadcasts to `rank` dimensions."""
    if value is None:
        return None
    first = rows_at(0, value, dim, rows)
    return first[(slice(None), *(None,) * (rank + 1 - first.dim()))]


def operands(values: Sequence[Tensor | None], dims: Dims, rows: int, rank: int) -> list[Tensor | None]:
    return [operand(value, dim, rows, rank) for value, dim in zip(values, dims, strict=True)]


def of_operands(
    gradients: Sequence[Tensor], wanted: Sequence[bool], values: Sequence[Tensor | None], dims: Dims
) -> Results:
    """The gradients in the shapes of the operands, before which `operand` put dimensions of size 1."""
    shaped = [
        gradient.reshape(len(gradient), *row_shape(value, dim)) if want and value is not None else gradient
        for gradient, want, value, dim in zip(gradients, wanted, values, dims, strict=True)
    ]
    return tuple(shaped), tuple(0 if want else None for want in wanted)


def folded(reduction: str, batch_dims: int, shape: torch.Size) -> tuple[str, int, float]:
    """The reduction and batch_dims of the call over all rows, and what its results are multiplied by."""
    if reduction in ("none", "sample"):
        return reduction, batch_dims + 1, 1.0
    return "sample", 1, reduction_scale(reduction, shape.numel(), shape[:batch_dims].numel())


def times(loss: Tensor, factor: float) -> Tensor:
    return loss if factor == 1.0 else loss * factor


def upstream(gradient: Tensor | None, dim: int | None, rows: int, factor: float) -> Tensor | None:
    return None if gradient is None else times(rows_at(0, gradient, dim, rows), factor)
