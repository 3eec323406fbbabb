"""Importance sampling in pieces that fit in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from fastvae import functional as F


def chunks(num_samples: int, chunk_size: int) -> Iterator[int]:
    """`num_samples` in pieces of at most `chunk_size`."""
    for name, value in (("num_samples", num_samples), ("chunk_size", chunk_size)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: got {value!r}; takes an int of at least 1")
    for start in range(0, num_samples, chunk_size):
        yield min(chunk_size, num_samples - start)


def seeded(seed: int | None, generator: torch.Generator | None, device: torch.device) -> torch.Generator | None:
    """One generator for all chunks, which with a seed each would have the same noise; None for torch's default one."""
    if seed is None:
        return generator
    if generator is not None:
        raise ValueError("seed, generator: got 2 sources of noise; takes at most one")
    return torch.Generator(device).manual_seed(seed)


def log_mean_exp(log_w: Iterator[Tensor], num_samples: int) -> Tensor:
    """log of the mean over all samples of exp(log_w), from chunks of ``[chunk, batch]``, in float64."""
    total: Tensor | None = None
    for chunk in log_w:
        part = F.importance_weighted_bound(chunk.double()) + math.log(chunk.shape[0])
        total = part if total is None else torch.logaddexp(total, part)
    assert total is not None
    return total - math.log(num_samples)
