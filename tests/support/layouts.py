"""The same values in every layout a user may pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _embedded(value: Tensor, starts: tuple[int, ...], steps: tuple[int, ...], margin: int = 1) -> Tensor:
    """A view of `value`'s shape into a larger tensor whose other elements are NaN (255, True)."""
    shape = [start + step * size + margin for start, step, size in zip(starts, steps, value.shape, strict=True)]
    filler = float("nan") if value.is_floating_point() else 255 if value.dtype == torch.uint8 else True
    larger = torch.full(shape, filler, dtype=value.dtype, device=value.device)
    window = tuple(
        slice(start, start + step * size, step) for start, step, size in zip(starts, steps, value.shape, strict=True)
    )
    larger[window] = value
    return larger[window]


def _permuted(value: Tensor, order: Callable[[int], list[int]]) -> Tensor:
    """`value` with its dimensions in memory in another order."""
    dims = order(value.dim())
    return value.permute(dims).contiguous().permute(torch.tensor(dims).argsort().tolist())


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda value: value.clone(memory_format=torch.contiguous_format),
    "transposed": lambda value: _permuted(value, lambda rank: list(range(rank))[::-1]),
    "rotated": lambda value: _permuted(value, lambda rank: [*range(1, rank), 0]),
    "columns": lambda value: _embedded(value, (0,) * (value.dim() - 1) + (3,), (1,) * value.dim()),
    "half": lambda value: _embedded(value, (0,) * (value.dim() - 1) + value.shape[-1:], (1,) * value.dim(), margin=0),
    "rows": lambda value: _embedded(value, (2,) + (0,) * (value.dim() - 1), (1,) * value.dim()),
    "every other": lambda value: _embedded(value, (1,) * value.dim(), (2,) * value.dim()),
    "last step": lambda value: _embedded(value, (0,) * value.dim(), (1,) * (value.dim() - 1) + (3,)),
}


def expand_first(value: Tensor, dims: int = 1) -> Tensor:
    """A stride-0 view of the first element along the leading dimensions."""
    return value[(slice(0, 1),) * dims].expand(value.shape)
