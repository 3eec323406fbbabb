"""Sums of several programs: the last to arrive adds them up, whichever it is, and leaves the counters at 0."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
import triton.language as tl
from torch import Tensor
from triton.runtime import interpreter

import fastvae
import fastvae.functional as F
from fastvae._autograd.reconstruction import reconstruction_with_samples
from fastvae._options import ReconstructionOptions
from fastvae._triton import _arrivals, _launch, _mixture, reduce
from tests.support.backends import on
from tests.support.ops import OPS, PAIRED
from tests.support.oracle import evaluate

SHAPE = (4, 70)
F64 = torch.float64
BLOCK = _launch.Blocking(16, 128)


def _backwards(count: int) -> Sequence[int]:
    return range(count - 1, -1, -1)


def _shuffled(count: int) -> Sequence[int]:
    order: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(count)).tolist()
    return order


def _scalar_sigma(reduction: str) -> dict[str, Tensor]:
    operands = OPS["gaussian_nll"].operands(SHAPE, F64) | {"log_scale": torch.tensor(0.3).double()}
    return evaluate(OPS["gaussian_nll"].call, operands, ("input", "log_scale"), reduction=reduction)


def _scalar_counts(reduction: str) -> dict[str, Tensor]:
    op = OPS["negative_binomial_nll"]
    shared = {"inverse_dispersion": torch.tensor(1.5).double(), "zero_inflation_logits": torch.tensor(-0.5).double()}
    return evaluate(op.call, op.operands(SHAPE, F64) | shared, op.wanted, reduction=reduction)


def _loss(name: str, reduction: str) -> dict[str, Tensor]:
    return evaluate(OPS[name].call, OPS[name].operands(SHAPE, F64), (), reduction=reduction)


def _with_samples(reduction: str) -> dict[str, Tensor]:
    """The loss and the per-sample sums of one pass."""
    t = OPS["mse_loss"].operands(SHAPE, F64)
    if reduction == "sample" or fastvae._backend.requested() == "reference":
        samples = OPS["mse_loss"].call(t, reduction="sample")
        return {"loss": OPS["mse_loss"].call(t, reduction=reduction), "samples": samples}
    options = ReconstructionOptions("mse_loss", False, reduction, 1)
    loss, samples = reconstruction_with_samples(t["input"], t["target"], t["weight"], None, options)
    return {"loss": loss, "samples": samples}


def _log_densities(reduction: str) -> dict[str, Tensor]:
    """Two of each point, summed over dimensions; there is nothing to reduce."""
    return evaluate(PAIRED["minibatch_log_densities"].call, PAIRED["minibatch_log_densities"].operands(SHAPE, F64), ())


CALLS: dict[str, Callable[[str], dict[str, Tensor]]] = {
    **{
        name: lambda reduction, name=name: _loss(name, reduction)
        for name in ("reparameterize_kl", "mse_loss", "log_normal", "discretized_logistic_mixture_nll")
    },
    "with samples": _with_samples,
    "scalar sigma": _scalar_sigma,
    "scalar counts": _scalar_counts,
    "log-densities": _log_densities,
}


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many programs each launch has: of 16 elements, in groups of 4, so that a small tensor has all levels."""
    monkeypatch.setattr(_launch, "_INTERPRETED", BLOCK)
    # The module, which the op of the same name hides.
    mixture = importlib.import_module("fastvae._triton.discretized_logistic_mixture")
    monkeypatch.setattr(mixture, "_LANES", BLOCK)
    few: dict[str, Any] = {"_OWN": 2, "_DIMS": {4: 8, 8: 8}, "_PER_THREAD": {4: 1, 8: 1}, "_PROGRAMS": 512}
    for name, value in few.items():
        monkeypatch.setattr(_mixture, name, value)
    monkeypatch.setattr(_mixture, "_blocks", _mixture._blocks.__wrapped__)
    monkeypatch.setattr(reduce, "GROUP", tl.constexpr(4))
    counted: list[int] = []
    set_grid = interpreter.interpreter_builder.set_grid_dim
    monkeypatch.setattr(
        interpreter.interpreter_builder, "set_grid_dim", lambda *grid: (counted.append(grid[0]), set_grid(*grid))
    )
    return counted


def _run_in(order: Callable[[int], Sequence[int]], programs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs programs as numbered; another order runs another program in each turn."""
    set_index = interpreter.interpreter_builder.set_grid_idx
    monkeypatch.setattr(
        interpreter.interpreter_builder, "set_grid_idx", lambda x, y, z: set_index(order(programs[-1])[x], y, z)
    )


CASES = [
    *((call, _shuffled, reduction) for call in CALLS for reduction in ("sample", "mean")),
    *((call, _backwards, "mean") for call in ("mse_loss", "with samples")),
]
SCALAR_COUNTS = ("scalar counts", _shuffled, "mean")  # for five seconds


@pytest.mark.parametrize(
    ("call", "order", "reduction"),
    [
        pytest.param(*case, marks=() if case[2] == "mean" and case != SCALAR_COUNTS else pytest.mark.nightly)
        for case in CASES
    ],
)
def test_the_last_to_arrive_adds_all(
    call: str,
    order: Callable[[int], Sequence[int]],
    reduction: str,
    programs: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fastvae.use_backend("reference"):
        expected = CALLS[call](reduction)
    with on("triton"):
        in_turn = CALLS[call](reduction)
        _run_in(order, programs, monkeypatch)
        found = CALLS[call](reduction)
    assert max(programs) > 4 * reduce.GROUP.value
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    # The order of the sum is that of the programs' numbers.
    assert all(torch.equal(value, in_turn[key]) for key, value in found.items())
    assert all(not counters.any() for counters in _arrivals._by_stream.values())


def test_a_single_program_needs_no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrivals, "counters", lambda *_: pytest.fail("counted"))
    x = torch.linspace(-1, 1, 60).view(3, 20)
    with on("triton"):
        loss = F.mse_loss(x, torch.zeros_like(x))
    torch.testing.assert_close(loss, x.square().mean(), rtol=3e-7, atol=0)
