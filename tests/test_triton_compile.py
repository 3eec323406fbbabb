"""What the kernels compile to for a real device (sm_90), without one: no spills, wide loads, exact noise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent
CASES = ("latent-float32", "latent-bfloat16", "latent-odd", "latent-prior", "latent-float64", "logits", "logits-bytes",
         "probabilities", "nll", "log_normal", "bound", "wide")  # fmt: skip
EXACT = {"add.rn.f32", "sub.rn.f32", "mul.rn.f32", "sqrt.rn.f32"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT.parent), environment.get("PYTHONPATH", "")])
    script = subprocess.run(
        [sys.executable, str(ROOT / "triton_compile.py")], env=environment, capture_output=True, text=True
    )
    assert script.returncode == 0, script.stderr[-3000:]
    result: dict[str, dict[str, Any]] = json.loads(script.stdout)
    return result


def test_every_case_is_reported(report: dict[str, Any]) -> None:
    assert tuple(report) == CASES


@pytest.mark.parametrize("case", CASES)
def test_no_kernel_spills(report: dict[str, Any], case: str) -> None:
    assert {name: kernel["stack"] for name, kernel in report[case].items()} == dict.fromkeys(report[case], 0)
    assert not any(access.startswith(("LDL", "STL")) for kernel in report[case].values() for access in kernel["memory"])


@pytest.mark.parametrize("case", ["latent-float32", "latent-bfloat16", "latent-odd", "latent-float64"])
def test_noise_compiles_to_correctly_rounded_arithmetic_only(report: dict[str, Any], case: str) -> None:
    """These kernels hold nothing but the noise and what needs no more: neither a contraction nor an approximation."""
    for name in ("_forward", "_backward"):
        assert {"add.rn.f32", "mul.rn.f32", "sqrt.rn.f32"} <= set(report[case][name]["arithmetic"]) <= EXACT


def test_other_arithmetic_is_never_contracted_into_the_noise(report: dict[str, Any]) -> None:
    for name in ("_forward", "_backward"):
        assert not any(operation.startswith(("fma", "mad")) for operation in report["latent-prior"][name]["arithmetic"])


@pytest.mark.parametrize(
    ("case", "width"),
    [("latent-float32", 128), ("latent-bfloat16", 64), ("latent-prior", 128), ("logits", 128), ("logits-bytes", 64),
     ("nll", 128), ("log_normal", 128)],
)  # fmt: skip
def test_aligned_groups_are_loaded_and_stored_whole(report: dict[str, Any], case: str, width: int) -> None:
    forward = report[case]["_forward"]["memory"]
    assert forward[f"LDG.E.{width}"] >= 2
    # A seed, a scalar, four bytes of a target; never an element by itself.
    assert not any(access.startswith(("LDG.E.U8", "LDG.E.U16", "STG.E.U16")) for access in forward)
