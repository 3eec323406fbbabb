"""KL warm-up schedules."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fastvae import CyclicalWarmup, ELBOLoss, LinearWarmup


@pytest.mark.parametrize(("steps_taken", "expected"), [(0, 0.1), (1, 0.3), (2, 0.5), (4, 0.9), (5, 0.9), (100, 0.9)])
def test_linear_warmup(steps_taken: int, expected: float) -> None:
    schedule = LinearWarmup(0.1, 0.9, 4)
    for _ in range(steps_taken):
        schedule.step()
    # float32: the fraction, the product and the sum round once each.
    assert schedule().item() == pytest.approx(expected, rel=3 * 2**-23)


def test_cyclical_warmup() -> None:
    schedule = CyclicalWarmup(0.0, 2.0, 16, cycles=2, ratio=0.5)
    values = []
    for _ in range(20):
        values.append(schedule().item())
        schedule.step()
    cycle = [0.0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0]
    assert values == cycle * 2 + [2.0] * 4


def test_cycles_that_do_not_divide_the_steps() -> None:
    """Fu et al. 2019: f(tau), tau = mod(t, T / M) / (T / M), here in plain Python."""
    schedule = CyclicalWarmup(0.0, 1.0, 10, cycles=3, ratio=0.7)
    for step in range(10):
        tau = math.fmod(step, 10 / 3) / (10 / 3)
        assert schedule().item() == pytest.approx(min(tau / 0.7, 1.0), abs=1e-6)
        schedule.step()


def test_one_cycle_is_a_warm_up() -> None:
    cycle, whole = CyclicalWarmup(0.0, 1.0, 4, cycles=1, ratio=1.0), LinearWarmup(0.0, 1.0, 4)
    for _ in range(4):
        assert cycle() == whole()
        cycle.step()
        whole.step()


@pytest.mark.parametrize("schedule", [LinearWarmup(0.0, 4.0, 10), CyclicalWarmup(0.0, 1.0, 10, cycles=2)])
def test_a_resumed_schedule_goes_on(schedule: Any) -> None:
    for _ in range(3):
        schedule.step()
    loss = ELBOLoss(beta=schedule)
    other = copy.deepcopy(schedule)
    other.count.zero_()
    fresh = ELBOLoss(beta=other)
    fresh.load_state_dict(loss.state_dict())
    assert torch.equal(fresh.beta(), schedule())
    assert torch.equal(pickle.loads(pickle.dumps(loss)).beta(), schedule())
    assert torch.equal(copy.deepcopy(loss).bfloat16().beta.count, torch.tensor(3))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: LinearWarmup(0.0, 1.0, 0), ValueError, "steps: got 0"),
        (lambda: LinearWarmup(0.0, 1.0, 1.5), ValueError, "steps: got 1.5"),
        (lambda: CyclicalWarmup(0.0, 1.0, 4, cycles=5), ValueError, "cycles: got 5"),
        (lambda: CyclicalWarmup(0.0, 1.0, 4, ratio=0.0), ValueError, "ratio: got 0.0"),
    ],
)
def test_mistakes_are_named(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
