"""The time of a call on a device, averaged over a batch of calls."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import torch

from bench.gpu.device import Device, synchronize
from bench.timing import Call

_MOST_CALLS: Final = 1000
# Cycles that the device idles for, about 1 ms: by then the first calls of a batch are queued.
_HEAD_START: Final = 2_000_000


class Batch(NamedTuple):
    """A call and how many of them are timed together."""

    call: Callable[[], object]
    calls: int


Clock = Callable[[Batch], Call]


def from_launch_to_result(batch: Batch) -> Call:
    """Wall-clock time: what a training loop waits for where launches decide."""
    synchronize()
    start = time.perf_counter()
    for _ in range(batch.calls):
        batch.call()
    synchronize()
    return Call((time.perf_counter() - start) / batch.calls, 0)


def on_the_device(batch: Batch) -> Call:
    """Time between two events of the device, which has work waiting when the first one comes."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(_HEAD_START)
    begin.record()
    for _ in range(batch.calls):
        batch.call()
    end.record()
    end.synchronize()
    return Call(begin.elapsed_time(end) / 1e3 / batch.calls, 0)


def clock_for(device: Device, launch_bound: bool) -> Clock:
    """The clock of a benchmark."""
    return on_the_device if device.real and not launch_bound else from_launch_to_result


def batch(call: Callable[[], object], clock: Clock, seconds: float) -> Batch:
    """As many calls as take about so long, at least one."""
    # Whatever is compiled is compiled here.
    clock(Batch(call, 1))
    each = clock(Batch(call, 2)).seconds
    return Batch(call, max(1, min(_MOST_CALLS, math.ceil(seconds / each))))
