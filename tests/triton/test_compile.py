"""What the kernels compile to for four devices, without one: no spills, no stack, wide loads, exact noise."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench import compile_report
from bench.compile_report import TARGETS, Row
from tests.triton.compiling import Compiling

EXACT = {"add.rn.f32", "sub.rn.f32", "mul.rn.f32", "sqrt.rn.f32"}


@pytest.fixture(scope="module")
def rows(compiling: Compiling) -> list[Row]:
    return compiling.rows()


def test_every_target_compiles_the_same_kernels(rows: list[Row]) -> None:
    kernels = {target: [row.kernel for row in rows if row.target == target] for target in TARGETS}
    assert kernels == dict.fromkeys(TARGETS, kernels["sm_90"])
    ops = {name.split()[0].rstrip(":") for name in kernels["sm_90"]}
    assert ops == {
        "reparameterize_kl", "reparameterize", "gaussian_kl", "binary_cross_entropy_with_logits",
        "binary_cross_entropy", "mse_loss", "l1_loss", "gaussian_nll", "log_normal", "importance_weighted_bound",
    }  # fmt: skip
    assert {name.rpartition(": ")[2] for name in kernels["sm_90"]} == {"forward", "backward", "scale", "add_segments"}


@pytest.mark.parametrize("target", TARGETS)
def test_no_kernel_spills_or_loads_aligned_rows_narrowly(rows: list[Row], target: str) -> None:
    assert {row.kernel: row.faults for row in rows if row.target == target and row.faults} == {}


def test_aligned_rows_are_loaded_four_elements_at_a_time(rows: list[Row]) -> None:
    loads = {row.kernel: row.load_bits for row in rows if row.target == "sm_90"}
    assert loads["reparameterize_kl packed 20: forward"] == 128
    assert loads["reparameterize_kl packed 20 bfloat16: backward"] == 64
    assert loads["reparameterize_kl interleaved 20: backward"] == 128
    assert loads["binary_cross_entropy_with_logits float32 uint8: forward"] == 32
    assert loads["reparameterize_kl packed 21 sample: forward"] == 32


def _noisy(row: Row) -> bool:
    return row.kernel.startswith("reparameterize_kl") and not row.kernel.endswith("add_segments")


def test_noise_compiles_to_correctly_rounded_arithmetic_only(rows: list[Row]) -> None:
    """With a standard prior and a logarithmic scale, a kernel holds nothing but the noise and what needs no more."""
    others = ("large", "prior", " std", "softplus", "variance", "min_")
    plain = [row for row in rows if _noisy(row) and row.arithmetic and not any(word in row.kernel for word in others)]
    assert len(plain) >= 60
    for row in plain:
        assert {"add.rn.f32", "mul.rn.f32"} <= set(row.arithmetic) <= EXACT, row
        assert ("sqrt.rn.f32" in row.arithmetic) == (" eps" not in row.kernel), row


def test_other_arithmetic_is_never_contracted_into_the_noise(rows: list[Row]) -> None:
    noisy = [row for row in rows if _noisy(row)]
    assert noisy
    for row in noisy:
        assert not any(operation.startswith(("fma", "mad")) for operation in row.arithmetic), row


def test_the_report_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("op: forward", "sm_90", 40, 0, 0, 128, True, 100, 32, ())
    faulty = Row("op: backward", "sm_90", 255, 16, 2, 32, True, 900, 32, ())
    assert not row.faults
    assert faulty.faults == ["stack", "spills", "narrow loads"]
    monkeypatch.setattr(compile_report, "measure", lambda targets: [row, faulty])
    text = CliRunner().invoke(compile_report.main, [])
    assert text.exit_code == 1
    assert "2 kernels, 1 with" in text.output
    printed = json.loads(CliRunner().invoke(compile_report.main, ["--json"]).output)
    assert printed[0] == {
        "kernel": "op: forward", "target": "sm_90", "registers": 40, "stack": 0, "spills": 0, "load_bits": 128,
        "aligned": True, "instructions": 100,
    }  # fmt: skip
