"""The device: a GPU; in a dry run the CPU, under Triton's interpreter or on the SIMT machine; else a reason to skip."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest
import torch

from tests.support.backends import on

# Empty, "1" for Triton's interpreter, or "machine" for what executes the compiled code.
_STAND_IN = os.environ.get("FASTVAE_GPU_DRY_RUN", "")
DRY_RUN = _STAND_IN in ("1", "machine")
ON_MACHINE = _STAND_IN == "machine"
INTERPRETED = _STAND_IN == "1"
# Every how manyth case a dry run takes.
_EVERY = int(os.environ.get("FASTVAE_GPU_DRY_RUN_EVERY", "9"))

Cases = TypeVar("Cases", bound=Sequence[Any])


def thinned(cases: Cases) -> Cases:
    """All of them on a GPU. A dry run in the interpreter looks for slips, which a few cases have as well."""
    return cases[::_EVERY] if DRY_RUN else cases


@pytest.fixture(scope="session")
def device() -> str:
    if DRY_RUN:
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU; FASTVAE_GPU_DRY_RUN=1 goes without")
    if os.environ.get("TRITON_INTERPRET") != "0":
        pytest.skip("needs TRITON_INTERPRET=0, and with it a process of its own")
    return "cuda"


@pytest.fixture
def gpu(device: str) -> str:
    """What no stand-in has: streams, graphs, and memory for 2^31 elements."""
    if DRY_RUN:
        pytest.skip("needs a GPU, which a dry run has not")
    return device


@pytest.fixture(autouse=True)
def _kernels(device: str) -> Iterator[None]:
    """The Triton kernels, on CPU tensors too."""
    if ON_MACHINE:
        from tests.simt.log import logged

        with logged():
            yield
    else:
        with on("triton"):
            yield


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How much of the compiled code a run on the machine has executed."""
    if ON_MACHINE:
        from tests.simt.log import summary

        terminalreporter.write_line(summary())
