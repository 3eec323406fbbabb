"""The rows of one benchmark: every provider timed in turn with a copy of as many bytes, and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

import fastvae
from bench.gpu import clock, providers, requirements
from bench.gpu.benchmarks import Benchmark
from bench.gpu.device import Device
from bench.gpu.launches import Launches
from bench.machine import Run
from bench.results import FASTVAE, GRAPH, Row, times
from bench.timing import Call, interleave, ratios, spread

_COPY = "copy"


class Measured(NamedTuple):
    """Times, and how many calls were timed together, by provider; fastvae's launches where somebody counted."""

    times: Mapping[str, list[Call]]
    calls: Mapping[str, int]
    launches: Launches


def measure(benchmark: Benchmark, device: Device, launches: Launches) -> Measured:
    """Time every provider, and the copy, once a round."""
    torch.compiler.reset()
    inputs = benchmark.sized.inputs(device.name)
    functions = providers.functions(benchmark.op, device)
    # The default on a GPU; in a dry run it selects the Triton kernels, interpreted, for CPU tensors.
    with fastvae.use_backend("triton"):
        plain = {name: providers.call(function, inputs, "both") for name, function in functions.items()}
        graphs = {f"{name}{GRAPH}": providers.captured(call) for name, call in plain.items()} if device.real else {}
        reading = clock.clock_for(device, benchmark.launch_bound)
        batches = {
            name: clock.batch(call, reading, device.batch_s)
            for name, call in {**plain, **graphs, _COPY: providers.copy(benchmark.sized.min_bytes or 0, device)}.items()
        }
        times = interleave(batches, repeats=device.rounds, min_time=0.0, warm_up=1, clock=reading)
    return Measured(times, {name: batch.calls for name, batch in batches.items()}, launches)


def rows(benchmark: Benchmark, measured: Measured, run: Run) -> list[Row]:
    """The rows of one measurement, fastvae's first."""
    return [_row(benchmark, measured, provider, run) for provider in measured.times if provider != _COPY]


def beside_fastvae(made: Mapping[str, list[Call]], provider: str) -> dict[str, Any]:
    """The columns of a provider's times, with ratios to fastvae's, both under graphs or neither."""
    base = f"{FASTVAE}{GRAPH}" if provider.endswith(GRAPH) else FASTVAE
    return times(spread([call.seconds for call in made[provider]]), ratios(made[provider], made[base]))


def _row(benchmark: Benchmark, measured: Measured, provider: str, run: Run) -> Row:
    sized = benchmark.sized
    own, copies = measured.times[provider], measured.times[_COPY]
    required = requirements.required(benchmark, provider)
    counted, most = Launches(), Launches()
    if provider == FASTVAE:
        counted, most = measured.launches, requirements.launches(benchmark)
    return Row(
        **run._asdict(),
        op=benchmark.op.name,
        size=sized.size,
        dtype=benchmark.op.dtype,
        target=benchmark.op.target,
        mode="both",
        provider=provider,
        elements=sized.elements,
        launch_bound=int(benchmark.launch_bound),
        rounds=len(own),
        calls=measured.calls[provider],
        **beside_fastvae(measured.times, provider),
        must=required and required.must,
        goal=required and required.goal,
        min_bytes=sized.min_bytes,
        bytes_per_s=(sized.min_bytes or 0) / spread([call.seconds for call in copies]).median,
        of_bandwidth=ratios(copies, own).median if sized.elements >= requirements.LARGE_ELEMENTS else None,
        launches_forward=counted.forward,
        launches_backward=counted.backward,
        max_forward=most.forward,
        max_backward=most.backward,
    )
