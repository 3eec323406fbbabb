"""Launches as CUDA would get them: how many there are, and that those prepared earlier pass the same on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.minutes(0.4), pytest.mark.slow]

ROOT = Path(__file__).parents[2]


@cache
def _launches() -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        environment["TRITON_CACHE_DIR"] = folder
        script = subprocess.run(
            [sys.executable, "-m", "tests.triton.launches"], env=environment, capture_output=True, text=True
        )
    assert script.returncode == 0, script.stderr[-3000:]
    result: dict[str, Any] = json.loads(script.stdout)
    return result


@pytest.fixture
def report() -> dict[str, Any]:
    return _launches()


def test_each_pass_of_an_op_is_one_launch(report: dict[str, Any]) -> None:
    """At any size, with whatever is summed: the last program to arrive adds the sums. Sums over pairs take a second."""
    assert report["passes"]
    assert all(passes == [[1, 1]] * 3 for passes in report["passes"].values()), report["passes"]
    assert report["mixture prior"] == [[2, 2]] * 3
    assert report["total correlation"] == {"20": [[2, 4]] * 3, "40": [[3, 4]] * 3}


@pytest.mark.parametrize("offset", [0, 1, 4, 8])
def test_an_operand_on_a_groups_boundary_counts_from_an_aligned_address(report: dict[str, Any], offset: int) -> None:
    first, again = report["begins"][str(offset)]
    assert first == again
    assert first[0] == (-8 if offset == 4 else 0)


def test_a_profilers_hook_hears_of_prepared_launches(report: dict[str, Any]) -> None:
    assert report["heard"] == ["_forward", "_scale"]


def test_a_launch_is_prepared_once_for_a_layout(report: dict[str, Any]) -> None:
    """Of z alone, of mu in another dtype, transposed and sliced; z with a KL was there before."""
    assert report["new layouts"] == 4
