"""The instruction-set units: chosen by the processor, capped by the environment, the same noise from each."""

from __future__ import annotations

import pytest

from tests.core.units import UNITS, run, supported

REPORT = """
import hashlib, torch, fastvae.functional as F
from fastvae import _C
torch.manual_seed(0)
mu, logvar, logits, pixels = torch.randn(65, 37), torch.randn(65, 37), 4 * torch.randn(65, 99), torch.rand(65, 99)
eps = F.reparameterize(torch.zeros_like(mu), torch.ones_like(mu), parameterization="std", seed=7, num_samples=3)
print(_C.capability())
print(hashlib.sha256(eps.numpy().tobytes()).hexdigest())
print(F.gaussian_kl(mu, logvar).item(), F.binary_cross_entropy_with_logits(logits, pixels).item())
"""


@pytest.fixture(scope="module")
def reports() -> dict[str, list[str]]:
    return {unit: run(REPORT, unit).stdout.splitlines() for unit in UNITS}


@pytest.mark.parametrize("cap", UNITS)
def test_the_cap_bounds_the_unit(cap: str, reports: dict[str, list[str]]) -> None:
    best = [unit for unit in supported() if UNITS.index(unit) <= UNITS.index(cap)][-1]
    assert reports[cap][0] == best


def test_without_a_cap_the_best_unit_runs() -> None:
    assert run(REPORT, None).stdout.splitlines()[0] == supported()[-1]


def test_every_unit_makes_the_same_noise(reports: dict[str, list[str]]) -> None:
    assert len({report[1] for report in reports.values()}) == 1


def test_losses_agree_to_the_rounding_of_a_sum(reports: dict[str, list[str]]) -> None:
    for report in reports.values():
        for value, other in zip(report[2].split(), reports["default"][2].split(), strict=True):
            assert float(value) == pytest.approx(float(other), rel=2**-22)


def test_an_unknown_cap_is_an_error_that_names_it() -> None:
    result = run(REPORT, "sse9")
    assert result.returncode != 0
    assert "FASTVAE_CPU_CAPABILITY: got 'sse9'; takes default, avx2 or avx512" in result.stderr
