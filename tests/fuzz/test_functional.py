"""Every public function on arguments that hypothesis draws, against the reference, and on arguments that it refuses.

`python -m tools.checks.fuzz` draws more of them, for as long as it is given.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings

import fastvae.functional as F
from tests.fuzz import agreement, mistakes
from tests.fuzz.cases import Case, Upstream
from tests.fuzz.surface import CASES
from tests.fuzz.tensors import Operand

quick = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("op", CASES)
def test_agrees_with_the_reference(op: str) -> None:
    @quick
    @given(CASES[op])
    def holds(case: Case) -> None:
        agreement.check(case, layouts=3)

    holds()


@pytest.mark.parametrize("op", CASES)
def test_a_wrong_argument_is_named(op: str) -> None:
    @quick
    @given(mistakes.mistakes(CASES[op]))
    def holds(mistake: mistakes.Mistake) -> None:
        mistakes.check(mistake)

    holds()


def test_every_public_function_has_cases() -> None:
    assert set(CASES) == set(F.__all__)


CASE = Case(
    "gaussian_kl",
    {name: Operand((3, 5), torch.float32, domain, seed=1) for name, domain in (("mu", "real"), ("scale", "logvar"))},
    {"reduction": "sum"},
    ("mu", "scale"),
    upstream=Upstream("one"),
)


@pytest.mark.parametrize("fault", ["value", "gradient", "NaN", "input", "luck"])
def test_a_fault_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the property is there for: a result a little off, one that is NaN, a changed input, another each time."""
    kl, calls = F.gaussian_kl, iter(range(100))

    def faulty(mu: torch.Tensor, scale: torch.Tensor, **options: str) -> torch.Tensor:
        value = kl(mu, scale, **options)
        if fault == "value":
            return value + 1e-4
        if fault == "gradient":
            return value + 1e-4 * (mu - mu.detach()).sum()
        if fault == "NaN":
            return value * torch.nan
        if fault == "input":
            mu.data.add_(1.0)  # of which autograd is not told
            return value
        return value + 1e-6 * next(calls)

    agreement.check(CASE)
    monkeypatch.setattr(F, "gaussian_kl", faulty)
    with pytest.raises(AssertionError, match="changed" if fault == "input" else None):
        agreement.check(CASE)


def test_an_unnamed_argument_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(mu: torch.Tensor, scale: torch.Tensor, reduction: object) -> torch.Tensor:
        raise TypeError("unhashable type: 'list'")

    monkeypatch.setattr(F, "gaussian_kl", faulty)
    with pytest.raises(AssertionError, match="unhashable"):
        mistakes.check(mistakes.Mistake(CASE, "reduction", "a list"))
