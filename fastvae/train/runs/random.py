"""Where randomness comes from: everything follows from the run's seed, and resumes from where it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order of the training images in `epoch`: a function of the two numbers alone."""
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)
    return torch.randperm(count, generator=torch.Generator().manual_seed(mixed))


def state(device: torch.device) -> dict[str, Tensor]:
    """The generators that training draws its noise from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore(states: dict[str, Tensor], device: torch.device) -> None:
    """The inverse of `state`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


@contextmanager
def separate(seed: int, device: torch.device) -> Iterator[None]:
    """Noise from `seed` inside the block, without a trace in the noise of training outside of it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
