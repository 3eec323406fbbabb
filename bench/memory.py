"""Peak new bytes of a call, exactly: every allocation and release that torch's allocator reports, in order.

And the machine's own memory, touched before it is measured.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Final

from torch.profiler import ProfilerActivity, profile

from bench.timing import Trial


def peak_bytes(trial: Trial) -> int:
    """The most bytes live at once that the timed part of one call allocated, its results included."""
    given = trial.prepare()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        result = trial.timed(given)
    del result
    events = [event for event in trace.profiler.kineto_results.events() if event.name() == "[memory]"]
    return peak(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))


_PAGE: Final = 4096
_MOST: Final = 32 << 30


def touch(most: int = _MOST) -> int:
    """Touch the memory that is free, at most so many bytes, and give it back; returns how many.

    The host of a virtual machine backs a page when it is first touched, which takes ten times as long as the guest does
    for the same. A call that is given such pages measures the host.
    """
    available = next(
        int(line.split()[1]) << 10 for line in Path("/proc/meminfo").read_text().splitlines() if "MemAvailable" in line
    )
    size = min(most, available * 9 // 10)
    with mmap.mmap(-1, size) as memory:
        for offset in range(0, size, _PAGE):
            memory[offset] = 1
    return size


def peak(changes: Iterable[int]) -> int:
    """The highest running sum, 0 if it never rises."""
    return max(accumulate(changes, initial=0))
