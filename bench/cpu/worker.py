"""One process a regime and thread count: it measures the benchmarks it is told to, one JSON line for each mode."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import torch

from bench.cpu import memory, triad
from bench.cpu.benchmarks import STEP, Benchmark, all_benchmarks
from bench.cpu.regimes import REGIMES
from bench.timing import Trial, interleave, loop, ratios, spread
from fastvae import _C

SMALL_ELEMENTS: Final = 101_000
"""Up to here, what a call finds in the caches decides what it takes: it is measured in a loop of its own too."""

_LOOP_SECONDS: Final = 0.01


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    Attributes:
        benchmarks: their names.
        repeats, min_time: see `bench.timing.interleave`.
    """

    regime: str
    threads: int
    benchmarks: list[str]
    modes: list[str]
    repeats: int
    min_time: float


def measure(benchmark: Benchmark, job: Job) -> Iterator[dict[str, Any]]:
    """The measurements of one benchmark, a mode at a time."""
    torch.compiler.reset()
    warm_up = REGIMES[job.regime].warm_up
    for mode, trials in benchmark.setup().items():
        if mode not in (*job.modes, STEP):
            continue
        calls = interleave(trials, repeats=job.repeats, min_time=job.min_time, warm_up=warm_up)
        alone = _alone(trials, job.repeats) if mode == "both" and benchmark.elements <= SMALL_ELEMENTS else {}
        bandwidth = triad.bytes_per_second(benchmark.elements)
        providers = {
            provider: {
                "rounds": len(made),
                "seconds": spread([call.seconds for call in made]),
                "ratio": ratios(made, calls["fastvae"]),
                "alone": alone.get(provider),
                "page_faults": round(spread([call.page_faults for call in made]).median),
                "peak_bytes": memory.peak_bytes(trials[provider]),
            }
            for provider, made in calls.items()
        }
        yield {
            "benchmark": benchmark.name,
            "mode": mode,
            "capability": _C.capability(),
            "triad_bytes_per_s": bandwidth,
            "providers": providers,
        }


def _alone(trials: Mapping[str, Trial], repeats: int) -> dict[str, tuple[float, float]]:
    """By provider, the seconds of a call in a loop of its own and their ratio to fastvae's; the loops take turns."""
    loops = interleave(trials, repeats=repeats, min_time=0.0, warm_up=1, clock=partial(loop, seconds=_LOOP_SECONDS))
    return {
        provider: (spread([call.seconds for call in made]).median, ratios(made, loops["fastvae"]).median)
        for provider, made in loops.items()
    }


def encode(job: Job) -> str:
    """A job as the one line that a worker reads."""
    return json.dumps(asdict(job))


def main() -> None:
    """Read a job from stdin, write to stdout."""
    # Compilers and profilers print too: to stderr, so that stdout is JSON alone.
    out, sys.stdout = sys.stdout, sys.stderr
    job = Job(**json.loads(sys.stdin.readline()))
    torch.set_num_threads(job.threads)
    benchmarks = {benchmark.name: benchmark for benchmark in all_benchmarks()}
    for name in job.benchmarks:
        for result in measure(benchmarks[name], job):
            print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    main()
