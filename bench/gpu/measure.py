"""The rows of one case: every provider timed in turn with a copy of as many bytes, and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

import fastvae
from bench.gpu import clock, providers, targets
from bench.gpu.cases import Case
from bench.gpu.device import Device, Machine
from bench.gpu.launches import Launches
from bench.gpu.results import GRAPH, Row
from bench.timing import Call, interleave, ratios, spread

_COPY = "copy"


class Run(NamedTuple):
    """What all rows of a run share."""

    date: str
    commit: str
    machine: Machine


class Measured(NamedTuple):
    """One case: times, how many calls were timed together, and launches where somebody counted; by provider."""

    times: Mapping[str, list[Call]]
    calls: Mapping[str, int]
    launches: Mapping[str, Launches]


def measure(case: Case, device: Device, launches: Mapping[str, Launches]) -> Measured:
    """Time every provider, and the copy, once a round."""
    torch.compiler.reset()
    inputs = case.inputs(device.name)
    functions = providers.functions(case.op, device)
    # The Triton kernels: on a GPU it says nothing new, in a dry run it is what starts the interpreter.
    with fastvae.use_backend("triton"):
        plain = {name: providers.call(function, inputs, "both") for name, function in functions.items()}
        graphs = {f"{name}{GRAPH}": providers.captured(call) for name, call in plain.items()} if device.real else {}
        reading = clock.clock_for(device, case.launch_bound)
        batches = {
            name: clock.batch(call, reading, device.batch_s)
            for name, call in {**plain, **graphs, _COPY: providers.copy(case.min_bytes, device)}.items()
        }
        times = interleave(batches, repeats=device.rounds, min_time=0.0, warm_up=1, clock=reading)
    return Measured(times, {name: batch.calls for name, batch in batches.items()}, launches)


def rows(case: Case, measured: Measured, run: Run) -> list[Row]:
    """The rows of one measurement, fastvae's first."""
    return [_row(case, measured, provider, run) for provider in measured.times if provider != _COPY]


def _row(case: Case, measured: Measured, provider: str, run: Run) -> Row:
    times, copies = measured.times[provider], measured.times[_COPY]
    seconds = spread([call.seconds for call in times])
    ratio = ratios(times, measured.times[f"fastvae{GRAPH}" if provider.endswith(GRAPH) else "fastvae"])
    ours = provider == "fastvae"
    target = targets.of_copy(case) if ours else targets.ratio(case, provider)
    counted = measured.launches.get(provider, Launches())
    most = targets.launches(case) if ours else Launches()
    return Row(
        date=run.date,
        commit=run.commit,
        **run.machine._asdict(),
        op=case.op.name,
        size=case.size,
        dtype=case.op.dtype,
        target=case.op.target,
        provider=provider,
        elements=case.elements,
        launch_bound=int(case.launch_bound),
        rounds=len(times),
        calls=measured.calls[provider],
        median_s=seconds.median,
        q20_s=seconds.q20,
        q80_s=seconds.q80,
        ratio=ratio.median,
        ratio_q20=ratio.q20,
        ratio_q80=ratio.q80,
        min_bytes=case.min_bytes,
        copy_bytes_per_s=case.min_bytes / spread([call.seconds for call in copies]).median,
        of_copy=ratios(copies, times).median if case.elements >= targets.LARGE_ELEMENTS else None,
        must=target and target.must,
        goal=target and target.goal,
        launches_forward=counted.forward,
        launches_backward=counted.backward,
        max_forward=most.forward,
        max_backward=most.backward,
    )
