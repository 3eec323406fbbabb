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
# Cycles that the device sleeps before a batch, about 1 ms, in which the host queues the first calls.
_HEAD_START: Final = 2_000_000


class Batch(NamedTuple):
    """A call and how many of them are timed together."""

    call: Callable[[], object]
    calls: int


Clock = Callable[[Batch], Call]


def from_launch_to_result(batch: Batch) -> Call:
    """Wall-clock time, from the first launch until the device is done: what a launch-bound training loop waits for."""
    synchronize()
    start = time.perf_counter()
    for _ in range(batch.calls):
        batch.call()
    synchronize()
    return Call((time.perf_counter() - start) / batch.calls, 0)


def on_the_device(batch: Batch) -> Call:
    """Time between two CUDA events; the device sleeps first, so that launches are queued ahead of it."""
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
    # The first call compiles.
    clock(Batch(call, 1))
    each = clock(Batch(call, 2)).seconds
    return Batch(call, max(1, min(_MOST_CALLS, math.ceil(seconds / each))))
