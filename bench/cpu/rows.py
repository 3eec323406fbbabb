"""Rows from a worker's measurement: what was measured, beside what was to be reached."""

from __future__ import annotations

from typing import Any, Final

from bench.cpu import requirements
from bench.cpu.benchmarks import Benchmark
from bench.cpu.requirements import Setting
from bench.cpu.worker import Job
from bench.machine import Run
from bench.results import FASTVAE, Row, Times
from bench.timing import Spread

# What a peak may exceed its bytes an element by: scalars (the loss, a seed, partial sums).
SCALARS: Final = 256


def rows_of(result: dict[str, Any], benchmark: Benchmark, job: Job, run: Run) -> list[Row]:
    """The rows of one measurement, fastvae's first."""
    setting = Setting(result["mode"], job.regime, job.threads, result["capability"])
    return [
        _row(provider, measured, result["triad_bytes_per_s"], benchmark, setting, run)
        for provider, measured in result["providers"].items()
    ]


def _row(
    provider: str, measured: dict[str, Any], bandwidth: float, benchmark: Benchmark, setting: Setting, run: Run
) -> Row:
    times = Times.of(Spread(*measured["seconds"]), Spread(*measured["ratio"]))
    alone_s, alone_ratio = measured["alone"] or (None, None)
    # Which pass moves which bytes is an implementation's choice: only the two together have a floor.
    both = setting.mode == "both"
    min_bytes = benchmark.min_bytes if both else None
    max_peak = benchmark.max_peak if both and provider == FASTVAE else None
    required = requirements.required(benchmark, provider, setting)
    return Row(
        **run._asdict(),
        **setting._asdict(),
        op=benchmark.op,
        size=benchmark.size,
        dtype=benchmark.dtype,
        target=benchmark.target,
        provider=provider,
        elements=benchmark.elements,
        rounds=measured["rounds"],
        calls=1,
        **times._asdict(),
        alone_s=alone_s,
        alone_ratio=alone_ratio,
        must=required and required.must,
        goal=required and required.goal,
        min_bytes=min_bytes,
        bytes_per_s=bandwidth,
        of_bandwidth=min_bytes / bandwidth / times.median_s if min_bytes else None,
        page_faults=measured["page_faults"],
        peak_bytes=measured["peak_bytes"],
        max_peak_bytes=None if max_peak is None else max_peak + SCALARS,
    )
