"""The rows of one benchmark: every provider timed in turn, small ops in loops of their own too, and judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch

from bench.cpu import memory, requirements, triad
from bench.cpu.benchmarks import STEP, Benchmark
from bench.cpu.regimes import REGIMES
from bench.cpu.requirements import Setting
from bench.machine import Run
from bench.results import FASTVAE, Row, times
from bench.timing import Trial, interleave, loop, ratios, spread
from fastvae import _C

SMALL_ELEMENTS: Final = 101_000
"""Up to here, what a call finds in the caches decides what it takes: it is measured in a loop of its own too."""

_LOOP_SECONDS: Final = 0.01
# What a peak may exceed its bytes an element by: scalars (the loss, a seed, partial sums).
SCALARS: Final = 256


@dataclass(frozen=True)
class Job:
    """What one process measures.

    Attributes:
        benchmarks: their names.
        repeats, min_time: see `bench.timing.interleave`.
    """

    run: Run
    regime: str
    threads: int
    benchmarks: list[str]
    modes: list[str]
    repeats: int
    min_time: float


def measure(benchmark: Benchmark, job: Job) -> Iterator[list[Row]]:
    """The rows of each mode, fastvae's first."""
    torch.compiler.reset()
    for mode, trials in benchmark.setup().items():
        if mode in (*job.modes, STEP):
            yield _rows(benchmark, Setting(mode, job.regime, job.threads, _C.capability()), trials, job)


def _rows(benchmark: Benchmark, setting: Setting, trials: Mapping[str, Trial], job: Job) -> list[Row]:
    calls = interleave(trials, repeats=job.repeats, min_time=job.min_time, warm_up=REGIMES[setting.regime].warm_up)
    # Implementations move some bytes in either pass: only both together have a minimum.
    both = setting.mode == "both"
    alone = _alone(trials, job.repeats) if both and benchmark.elements <= SMALL_ELEMENTS else {}
    bandwidth = triad.bytes_per_second(benchmark.elements)
    min_bytes = benchmark.min_bytes if both else None
    rows = []
    for provider, made in calls.items():
        seconds = spread([call.seconds for call in made])
        alone_s, alone_ratio = alone.get(provider, (None, None))
        required = requirements.required(benchmark, provider, setting)
        bounded = both and provider == FASTVAE and benchmark.max_peak is not None
        row = Row(
            **job.run._asdict(),
            **setting._asdict(),
            op=benchmark.op,
            size=benchmark.size,
            dtype=benchmark.dtype,
            target=benchmark.target,
            provider=provider,
            elements=benchmark.elements,
            rounds=len(made),
            **times(seconds, ratios(made, calls[FASTVAE])),
            alone_s=alone_s,
            alone_ratio=alone_ratio,
            must=required and required.must,
            goal=required and required.goal,
            min_bytes=min_bytes,
            bytes_per_s=bandwidth,
            of_bandwidth=min_bytes / bandwidth / seconds.median if min_bytes else None,
            page_faults=round(spread([call.page_faults for call in made]).median),
            peak_bytes=memory.peak_bytes(trials[provider]),
            max_peak_bytes=(benchmark.max_peak or 0) + SCALARS if bounded else None,
        )
        rows.append(row)
    return rows


def _alone(trials: Mapping[str, Trial], repeats: int) -> dict[str, tuple[float, float]]:
    """By provider, the seconds of a call in a loop of its own and their ratio to fastvae's; the loops take turns."""
    clock = partial(loop, seconds=_LOOP_SECONDS)
    loops = interleave(trials, repeats=repeats, min_time=0.0, warm_up=1, clock=clock)
    return {
        provider: (spread([call.seconds for call in made]).median, ratios(made, loops[FASTVAE]).median)
        for provider, made in loops.items()
    }
