"""Peak new bytes of a call, exactly: every allocation and release that torch's allocator reports, in order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

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


def peak(changes: Iterable[int]) -> int:
    """The highest running sum, 0 if it never rises."""
    return max(accumulate(changes, initial=0))
