"""STREAM's triad (McCalpin 1995), a = b + s * c: the bandwidth that a kernel's minimum of bytes is held against."""

from __future__ import annotations

import statistics
from typing import Final

import torch

from bench.timing import Trial, interleave

_BYTES: Final = 12


def bytes_per_second(elements: int) -> float:
    """Bandwidth over float32 arrays of `elements`, on the threads torch now uses."""
    a, b, c = (torch.ones(elements) for _ in range(3))
    trial = Trial(lambda: None, lambda _: torch.add(b, c, alpha=2.0, out=a))
    calls = interleave({"triad": trial}, repeats=7, min_time=0.2, warm_up=2)["triad"]
    return _BYTES * elements / statistics.median(call.seconds for call in calls)
