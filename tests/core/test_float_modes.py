"""Rounding and flushing of denormals are settings of each thread: of the caller's only the second counts, on all."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

import fastvae.functional as F
from tests.core.units import run
from tests.support.ops import ALL_OPS, PAIRED
from tests.support.oracle import evaluate

UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}  # FE_UPWARD of fenv.h


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """That run by then: a thread that begins later would inherit the mode of the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    F.gaussian_kl(torch.zeros(64, 2100), torch.zeros(64, 2100))
    yield
    torch.set_num_threads(before)


@contextmanager
def flushing() -> Iterator[None]:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush denormals")
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def rounding_upward() -> Iterator[None]:
    if platform.machine() not in UPWARD:
        pytest.skip("the number of its mode is not known")
    libm = ctypes.CDLL("libm.so.6")
    assert libm.fesetround(UPWARD[platform.machine()]) == 0
    try:
        yield
        assert libm.fegetround() == UPWARD[platform.machine()], "the caller's mode was not restored"
    finally:
        libm.fesetround(0)


def results(name: str, operands: dict[str, Tensor]) -> dict[str, Tensor]:
    op = ALL_OPS[name]
    return evaluate(op.call, operands, op.wanted, **({"reduction": "none"} if op.reduces else {}))


def with_threads(count: int, call: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    torch.set_num_threads(count)
    return {key: value.view(torch.int32) for key, value in call().items()}


def denormal(name: str) -> dict[str, Tensor]:
    return {key: value * 1e-39 for key, value in ALL_OPS[name].operands((64, 2100), torch.float32).items()}


@pytest.mark.parametrize("name", ALL_OPS)
def test_denormals_are_flushed_on_all_threads_or_on_none(name: str) -> None:
    operands = denormal(name)
    with flushing():
        one, two = (with_threads(count, lambda: results(name, operands)) for count in (1, 2))
    for key, value in one.items():
        assert torch.equal(two[key], value), key


def test_denormals_are_flushed_where_the_caller_asks_for_it() -> None:
    x = torch.full((64, 2100), 1e-39, requires_grad=True)

    def gradient() -> Tensor:
        return torch.autograd.grad(F.mse_loss(x, torch.zeros(x.shape), reduction="sum"), x)[0]

    assert (gradient() != 0).all()
    with flushing():
        flushed = gradient()
    assert (flushed.view(torch.int32) == 0).all()
    assert (gradient() != 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_noise_is_that_of_rounding_to_nearest(threads: int) -> None:
    torch.set_num_threads(threads)
    mu = torch.zeros(64, 2100)
    expected = F.reparameterize(mu, mu, seed=3)
    with rounding_upward():
        found = F.reparameterize(mu, mu, seed=3)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", sorted(ALL_OPS.keys() - PAIRED.keys()))
def test_results_are_those_of_rounding_to_nearest(name: str) -> None:
    op = ALL_OPS[name]
    operands = {
        key: value.requires_grad_(key in op.wanted) for key, value in op.operands((8, 2100), torch.float32).items()
    }
    sources = [operands[key] for key in op.wanted]

    def gradients() -> tuple[Tensor, ...]:
        outputs = op.call(operands)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return torch.autograd.grad(outputs, sources, [torch.ones_like(output) for output in outputs])

    expected = gradients()
    with rounding_upward():
        found = gradients()
    for key, one, other in zip(op.wanted, found, expected, strict=True):
        assert torch.equal(one, other), key


TRAPS = """
import ctypes, torch, fastvae.functional as F
x = torch.tensor([[float("inf"), 0.0, 1e38, 1.0]] * 4)
ctypes.CDLL("libm.so.6").feenableexcept(0x1D)  # invalid, division by zero, overflow, underflow
F.mse_loss(x, -x, reduction="sum")
F.importance_weighted_bound(-x)
"""


def test_a_program_that_traps_exceptions_is_not_killed() -> None:
    """What a kernel computes on the way to infinity, and masks, is not the caller's."""
    result = run(TRAPS, None)
    assert result.returncode == 0, result.stderr
