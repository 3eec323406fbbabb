"""One process a regime and thread count: it measures the cases it is told to, one JSON line for each mode."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from bench import memory, triad
from bench.cases import STEP, Case, all_cases
from bench.regimes import REGIMES
from bench.timing import interleave, ratios, spread
from fastvae import _C


@dataclass(frozen=True)
class Job:
    """What a worker is told."""

    regime: str
    threads: int
    cases: list[str]
    modes: list[str]
    repeats: int
    min_time: float


def measure(case: Case, job: Job) -> Iterator[dict[str, Any]]:
    """The measurements of one case, a mode at a time."""
    torch.compiler.reset()
    warm_up = REGIMES[job.regime].warm_up
    for mode, trials in case.setup().items():
        if mode not in (*job.modes, STEP):
            continue
        calls = interleave(trials, repeats=job.repeats, min_time=job.min_time, warm_up=warm_up)
        bandwidth = triad.bytes_per_second(case.elements)
        providers = {
            provider: {
                "rounds": len(made),
                "seconds": spread([call.seconds for call in made]),
                "ratio": ratios(made, calls["fastvae"]),
                "page_faults": round(spread([call.page_faults for call in made]).median),
                "peak_bytes": memory.peak_bytes(trials[provider]),
            }
            for provider, made in calls.items()
        }
        yield {
            "case": case.name,
            "mode": mode,
            "capability": _C.capability(),
            "triad_bytes_per_s": bandwidth,
            "providers": providers,
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
    cases: Mapping[str, Case] = {case.name: case for case in all_cases()}
    for name in job.cases:
        for result in measure(cases[name], job):
            print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    main()
