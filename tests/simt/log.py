"""One device for a whole run of tests, and what it has executed in the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from tests.simt.approximate import Approximations
from tests.simt.device import Device, executing
from tests.simt.machine import machine


@cache
def device() -> Device:
    """FASTVAE_PTX_APPROXIMATIONS says what approximate instructions give: nearest, highest or lowest."""
    which = Approximations[os.environ.get("FASTVAE_PTX_APPROXIMATIONS", "nearest").upper()]
    return Device(which, backwards=os.environ.get("FASTVAE_PTX_ARRIVAL") == "backwards")


@contextmanager
def logged() -> Iterator[None]:
    """Run the Triton kernels on it."""
    with executing(device()):
        yield


def summary() -> str:
    """In one line."""
    there = device()
    written = sum(len(machine(text, there._which).program.instructions) for text in there.reached)
    reached = sum(map(len, there.reached.values()))
    return (
        f"executed PTX for sm_90: {len(there.kernels)} kernels in {len(there.reached)} variants, "
        f"{there.launches:,} launches, {there.instructions:,} instructions of warps; "
        f"reached {reached:,} of {written:,} instructions written"
    )
