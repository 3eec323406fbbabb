"""Rows from a worker's measurement: what was measured, beside what was to be reached."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from bench import targets
from bench.cases import Case
from bench.results import Row
from bench.targets import Setting
from bench.worker import Job
from fastvae.train.runs.folder import versions


class Run(NamedTuple):
    """What all rows of a run share."""

    date: str
    commit: str
    cpu: str
    cores: int


def rows_of(result: dict[str, Any], case: Case, job: Job, run: Run) -> list[Row]:
    """The rows of one measurement, fastvae's first."""
    setting = Setting(result["mode"], job.regime, job.threads, result["capability"])
    return [
        _row(provider, measured, result["triad_bytes_per_s"], case, setting, run)
        for provider, measured in result["providers"].items()
    ]


def _row(provider: str, measured: dict[str, Any], bandwidth: float, case: Case, setting: Setting, run: Run) -> Row:
    median, q20, q80 = measured["seconds"]
    ratio, ratio_q20, ratio_q80 = measured["ratio"]
    # Which pass moves which bytes is an implementation's choice: only the two together have a floor.
    min_bytes = case.min_bytes if setting.mode == "both" else None
    ours = provider == "fastvae"
    if ours:
        target = targets.floor(case.op, case.size, case.target, setting)
    else:
        target = targets.ratio(case.op, case.size, case.target, case.elements, provider, setting)
    max_peak = case.max_peak if ours and setting.mode == "both" else None
    return Row(
        **run._asdict(),
        capability=setting.capability,
        torch=torch.__version__,
        fastvae=versions()["fastvae"],
        threads=setting.threads,
        regime=setting.regime,
        op=case.op,
        size=case.size,
        dtype=case.dtype,
        target=case.target,
        mode=setting.mode,
        provider=provider,
        elements=case.elements,
        rounds=measured["rounds"],
        median_s=median,
        q20_s=q20,
        q80_s=q80,
        ratio=ratio,
        ratio_q20=ratio_q20,
        ratio_q80=ratio_q80,
        must=target and target.must,
        goal=target and target.goal,
        min_bytes=min_bytes,
        triad_bytes_per_s=bandwidth,
        floor=median / (min_bytes / bandwidth) if min_bytes else None,
        page_faults=measured["page_faults"],
        peak_bytes=measured["peak_bytes"],
        max_peak_bytes=None if max_peak is None else max_peak + targets.SCALARS,
    )
