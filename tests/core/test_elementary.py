"""The mathematics of the CPU kernels over the whole of float32, in ulp, on every instruction-set unit."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.core.elementary import FUNCTIONS, SPECIAL
from tests.core.units import UNITS, run, supported

pytestmark = pytest.mark.minutes(1)


def _measured(stride: int, unit: str) -> dict[str, Any]:
    result = run(f"from tests.core import ulps; ulps.measure({stride})", unit)
    assert result.returncode == 0, (unit, result.stderr)
    report: dict[str, Any] = json.loads(result.stdout)
    return report


# Odd, so that no exponent sees the same few mantissas: 700,000 points a function, or 17 million.
@pytest.fixture(
    scope="module", params=[6121, pytest.param(251, marks=pytest.mark.nightly)], ids=lambda stride: f"every {stride}th"
)
def reports(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """What every unit of this processor measured, each in a process of its own."""
    return {unit: _measured(request.param, unit) for unit in supported()}


def report(reports: dict[str, dict[str, Any]], unit: str) -> dict[str, Any]:
    if unit not in reports:
        pytest.skip(f"this processor has no {unit}")
    assert reports[unit]["unit"] == unit
    return reports[unit]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("unit", UNITS)
def test_units_in_the_last_place(unit: str, name: str, reports: dict[str, dict[str, Any]]) -> None:
    found = report(reports, unit)["results"][name]
    assert found["ulp"] <= FUNCTIONS[name].ulp, found


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.own])
@pytest.mark.parametrize("unit", UNITS)
def test_as_good_as_torch(unit: str, name: str, reports: dict[str, dict[str, Any]]) -> None:
    """Within one eps of torch's own largest error on the same points; an eps is up to two ulp."""
    found = report(reports, unit)["results"][name]
    assert math.isfinite(found["own"])
    assert found["ulp"] <= found["own"] + 2, found


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.flushed])
@pytest.mark.parametrize("unit", UNITS)
def test_no_result_is_denormal(unit: str, name: str, reports: dict[str, dict[str, Any]]) -> None:
    assert report(reports, unit)["results"][name]["denormal"] == 0


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("unit", UNITS)
def test_special_points(unit: str, name: str, reports: dict[str, dict[str, Any]]) -> None:
    values = report(reports, unit)["special"][name]
    assert values == pytest.approx(list(SPECIAL[name].values()), rel=0, abs=0, nan_ok=True)
