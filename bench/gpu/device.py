"""Where the benchmarks run: a GPU, or in a dry run the CPU under Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
from typing import Final, NamedTuple

import click
import torch

from bench import machine
from bench.machine import Run


class Device(NamedTuple):
    """What differs between the two.

    Attributes:
        name: torch's.
        compiler: the backend of torch.compile.
        real: whether there are clocks, kernels and graphs to speak of.
        rounds: how often each provider is timed.
        batch_s: seconds that the calls timed together should take.
    """

    name: str
    compiler: str
    real: bool
    rounds: int
    batch_s: float


_GPU: Final = Device("cuda", "inductor", True, 20, 0.01)
_DRY: Final = Device("cpu", "aot_eager", False, 2, 0.0)


def device(dry_run: bool) -> Device:
    """The GPU, or what takes its place. To be called before Triton is imported, which then reads the environment.

    Raises:
        click.ClickException: there is no GPU.
    """
    if not dry_run and not torch.cuda.is_available():
        raise click.ClickException("device: got no GPU; takes one, or --dry-run")
    os.environ["TRITON_INTERPRET"] = "1" if dry_run else "0"
    return _DRY if dry_run else _GPU


def synchronize() -> None:
    """Wait for what was launched."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def new_run(device: Device, commit: str | None) -> Run:
    """A run that begins now.

    Args:
        commit: what is measured; None for the checkout's.
    """
    return Run(
        date=machine.now(),
        commit=commit or machine.commit(),
        device=torch.cuda.get_device_name() if device.real else "CPU, Triton's interpreter",
        cores=None,
        driver=_driver() if device.real else "-",
        cuda=torch.version.cuda or "-",
        torch=torch.__version__,
        triton=machine.version("triton"),
        fastvae=machine.version("fastvae"),
    )


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
