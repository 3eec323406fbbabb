"""One process a regime and thread count: it measures the benchmarks it is told to, one line of rows for each mode."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import torch

from bench.cpu.benchmarks import all_benchmarks
from bench.cpu.measure import Job, measure
from bench.machine import Run


def encode(job: Job) -> str:
    """A job as the one line that a worker reads."""
    return json.dumps(asdict(job))


def main() -> None:
    """Read a job from stdin, write to stdout."""
    # Compilers and profilers print too: to stderr, so that stdout is JSON alone.
    out, sys.stdout = sys.stdout, sys.stderr
    told = json.loads(sys.stdin.readline())
    job = Job(**{**told, "run": Run(*told["run"])})
    torch.set_num_threads(job.threads)
    benchmarks = {benchmark.name: benchmark for benchmark in all_benchmarks()}
    for name in job.benchmarks:
        for rows in measure(benchmarks[name], job):
            print(json.dumps([asdict(row) for row in rows]), file=out, flush=True)


if __name__ == "__main__":
    main()
