"""The device: a GPU, in a dry run the CPU under Triton's interpreter, else a reason to skip."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest
import torch

from tests.support.backends import on

DRY_RUN = os.environ.get("FASTVAE_GPU_DRY_RUN") == "1"

Cases = TypeVar("Cases", bound=Sequence[Any])


def thinned(cases: Cases) -> Cases:
    """All of them on a GPU. A dry run looks for slips, which a few cases have as well."""
    return cases[::9] if DRY_RUN else cases


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
    """What no interpreter has: streams, graphs, and memory for 2^31 elements."""
    if DRY_RUN:
        pytest.skip("needs a GPU, which a dry run has not")
    return device


@pytest.fixture(autouse=True)
def _kernels(device: str) -> Iterator[None]:
    """The Triton kernels, on CPU tensors too."""
    with on("triton"):
        yield
