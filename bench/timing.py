"""Interleaved timing: one call of each provider in turn, so that whatever disturbs the machine disturbs all of them."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

_LEAST_CALLS: Final = 5


class Trial(NamedTuple):
    """One provider's call. `timed` gets what `prepare`, off the clock, returned; both results outlive the clock."""

    prepare: Callable[[], Any]
    timed: Callable[[Any], Any]


class Call(NamedTuple):
    """One timed call: seconds, and the pages it touched for the first time."""

    seconds: float
    page_faults: int


class Spread(NamedTuple):
    """Median with the 20 % and 80 % quantiles."""

    median: float
    q20: float
    q80: float


def spread(values: Sequence[float]) -> Spread:
    """The spread of one or more values."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    fifths = statistics.quantiles(values, n=5, method="inclusive")
    return Spread(statistics.median(values), fifths[0], fifths[3])


def ratios(calls: Sequence[Call], base: Sequence[Call]) -> Spread:
    """The spread of the ratios of calls made in the same round."""
    return spread([call.seconds / other.seconds for call, other in zip(calls, base, strict=True)])


def one_call(trial: Trial) -> Call:
    """Time one call on the clock of the CPU."""
    given = trial.prepare()
    faults = _page_faults()
    start = time.perf_counter()
    result = trial.timed(given)
    seconds = time.perf_counter() - start
    faults = _page_faults() - faults
    del result
    return Call(seconds, faults)


def loop(trial: Trial, seconds: float) -> Call:
    """The median call of a loop that makes no others, for so many seconds on the clock and at least five times."""
    calls: list[Call] = []
    spent = 0.0
    while len(calls) < _LEAST_CALLS or spent < seconds:
        calls.append(one_call(trial))
        spent += calls[-1].seconds
    return Call(*(statistics.median(values) for values in zip(*calls, strict=True)))


def interleave(
    trials: Mapping[str, Any],
    *,
    repeats: int,
    min_time: float,
    warm_up: int,
    clock: Callable[[Any], Call] = one_call,
) -> dict[str, list[Call]]:
    """Time every trial once a round.

    Args:
        trials: by provider.
        repeats: at least so many rounds, ...
        min_time: ... and more until so many seconds were spent on the clock, all providers together.
        warm_up: rounds before the first that counts.
        clock: times one trial.
    """
    calls: dict[str, list[Call]] = {provider: [] for provider in trials}
    order = list(trials)
    for _ in range(warm_up):
        for provider in order:
            clock(trials[provider])
    rounds, spent = 0, 0.0
    with _without_gc():
        while rounds < repeats or spent < min_time:
            for provider in order:
                call = clock(trials[provider])
                calls[provider].append(call)
                spent += call.seconds
            # Rotated, so that no provider always finds the caches as the same other one leaves them.
            order.append(order.pop(0))
            rounds += 1
    return calls


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@contextmanager
def _without_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
