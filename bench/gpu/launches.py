"""How many kernels, copies and fills fastvae's ops launch, counted in a process of its own.

What a profiler leaves behind in a process slows every launch that follows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import click
from torch._C._autograd import DeviceType
from torch.profiler import profile, supported_activities

import fastvae
from bench import QUIET, ROOT
from bench.gpu import providers
from bench.gpu.benchmarks import Benchmark, Size, benchmarks_of, sizes
from bench.gpu.device import Device, device, synchronize

_SECONDS: Final = 90


class Launches(NamedTuple):
    """Of the two passes; None where nobody counted, or the profiler saw none."""

    forward: int | None = None
    backward: int | None = None


Counts = Mapping[str, Launches]
"""By benchmark."""


def counted(size: Size, device: Device, ops: Sequence[str] | None = None) -> Counts:
    """The launches of every benchmark of a size, or of those of some ops.

    Raises:
        subprocess.SubprocessError: they could not be counted.
    """
    number = sizes(device).index(size)
    command = [sys.executable, "-m", "bench.gpu.launches", str(number)]
    command += [] if device.real else ["--dry-run"]
    command += [] if ops is None else ["--ops", ",".join(ops)]
    environment = {**os.environ, **QUIET}
    # A dry run holds up no GPU.
    seconds = _SECONDS if device.real else 4 * _SECONDS
    result = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds
    )
    found: dict[str, list[int | None]] = json.loads(result.stdout)
    return {name: Launches(*pair) for name, pair in found.items()}


def count(benchmark: Benchmark, device: Device) -> Launches:
    """The launches of fastvae's op."""
    inputs = benchmark.sized.inputs(device.name)
    with fastvae.use_backend("triton"):
        forward, both = (_count(providers.call(benchmark.op.fastvae, inputs, mode)) for mode in ("forward", "both"))
    return Launches(forward, both - forward) if forward else Launches()


def _count(call: Callable[[], object]) -> int:
    call()
    synchronize()
    with profile(activities=supported_activities()) as trace:
        result = call()
        synchronize()
    del result
    return sum(event.device_type() == DeviceType.CUDA for event in trace.profiler.kineto_results.events())


@click.command()
@click.argument("number", type=int)
@click.option("--dry-run", is_flag=True)
@click.option("--ops")
def main(number: int, dry_run: bool, ops: str | None) -> None:
    """Print the launches of every benchmark of a size, given its number, as JSON."""
    # Compilers and profilers print too: to stderr, so that stdout is JSON alone.
    out, sys.stdout = sys.stdout, sys.stderr
    where = device(dry_run)
    wanted = [some for some in benchmarks_of(sizes(where)[number]) if ops is None or some.op.name in ops.split(",")]
    json.dump({some.name: count(some, where) for some in wanted}, out)


if __name__ == "__main__":
    main()
