"""One device for a whole run of tests, and what it has executed in the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from tests.simt.approximate import Approximations
from tests.simt.device import Device, executing


@cache
def device() -> Device:
    """FASTVAE_PTX_APPROXIMATIONS says what approximate instructions give: nearest, highest or lowest.

    FASTVAE_PTX_OTHERWISE=1: the last block arrives first, and ptxas contracts products and sums.
    """
    which = Approximations[os.environ.get("FASTVAE_PTX_APPROXIMATIONS", "nearest").upper()]
    otherwise = os.environ.get("FASTVAE_PTX_OTHERWISE") == "1"
    return Device(which, backwards=otherwise, contract=otherwise)


@contextmanager
def logged() -> Iterator[None]:
    """Run the Triton kernels on it."""
    with executing(device()):
        yield


def summary() -> str:
    """In one line."""
    there = device()
    written = sum(there.written.values())
    reached = sum(map(len, there.reached.values()))
    return (
        f"executed PTX for sm_90: {len(there.kernels)} kernels in {len(there.reached)} variants, "
        f"{there.launches:,} launches, {there.instructions:,} instructions of warps; "
        f"reached {reached:,} of {written:,} instructions written"
    )
