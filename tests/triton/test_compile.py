"""What the kernels compile to for two devices, without one: no spills, no stack, wide loads, exact noise."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest
from click.testing import CliRunner

from bench import compile_report
from bench.compile_report import Row
from bench.proofs.compiled.variants import all_variants
from bench.proofs.sm_model import report
from tests.support.kept import KEPT
from tests.support.ops import LOSSES

pytestmark = pytest.mark.minutes(3)

NVIDIA, AMD = "sm_90", "gfx942"
EXACT = {f"{name}{rounding}.f32" for name in ("add", "sub", "mul", "fma", "sqrt") for rounding in ("", ".rn")}


def measured(target: str, *only: str) -> list[Row]:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(KEPT / "triton")}
    return [row for some in only for row in compile_report.measure([target], only=some, environment=environment)]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Those of latents, and of large tensors; `bench.compile_report` has all for four targets."""
    found = measured(NVIDIA, "reparameterize_kl", "large")
    return list({row.kernel: row for row in found}.values())


def test_every_op_has_a_variant() -> None:
    ops = {"reparameterize_kl", "reparameterize", "gaussian_kl", "log_normal", "importance_weighted_bound", *LOSSES}
    ops |= {"minibatch_log_densities", "log_normal_mixture", "negative_binomial_nll"}
    ops |= {"discretized_logistic_mixture_nll"}
    assert {variant.name.split()[0] for variant in all_variants()} == ops


@pytest.mark.nightly
def test_another_target_compiles_the_same_kernels(rows: list[Row]) -> None:
    other = measured(AMD, "large")
    large = [row.kernel for row in rows if "large" in row.kernel]
    assert len(large) >= 8
    assert sorted(row.kernel for row in other) == sorted(large)
    assert {row.kernel: row.faults for row in other if row.faults} == {}


@pytest.mark.slow
def test_no_kernel_spills_or_loads_aligned_rows_narrowly(rows: list[Row]) -> None:
    assert {row.kernel: row.faults for row in rows if row.faults} == {}


@pytest.mark.slow
def test_aligned_rows_are_loaded_four_elements_at_a_time(rows: list[Row]) -> None:
    loads = {row.kernel: row.load_bits for row in rows}
    assert loads["reparameterize_kl packed 20: forward"] == 128
    assert loads["reparameterize_kl packed 20 bfloat16: backward"] == 64
    assert loads["reparameterize_kl interleaved 20: backward"] == 128
    assert loads["reparameterize_kl packed 21 sample: forward"] == 32


@pytest.mark.slow
def test_large_halves_are_loaded_eight_elements_at_a_time(rows: list[Row]) -> None:
    """Where strides and addresses allow it: rows of 40 halves do, the half of them behind the first 20 does not."""
    loads = {row.kernel: row.load_bits for row in rows if "bfloat16" in row.kernel and "large" in row.kernel}
    latent = "reparameterize_kl"
    for stage in ("forward", "backward"):
        assert loads[f"{latent} packed 128 bfloat16 large: {stage}"] == 128
        assert loads[f"{latent} packed 24 bfloat16 large, samples of a shard: {stage}"] == 128
        assert loads[f"{latent} packed 20 bfloat16 large: {stage}"] == 64
        assert loads[f"{latent} separate 20 bfloat16 large, 8 elements on: {stage}"] == 128
        assert loads[f"{latent} separate 20 bfloat16 large, 4 elements on: {stage}"] == 64
    assert loads["binary_cross_entropy_with_logits bfloat16 uint8 large: forward"] == 64


def _noisy(row: Row) -> bool:
    return row.kernel.startswith("reparameterize_kl")


@pytest.mark.slow
def test_noise_compiles_to_correctly_rounded_arithmetic_only(rows: list[Row]) -> None:
    """With a standard prior and a logarithmic scale, a kernel holds nothing but the noise and what needs no more."""
    others = ("large", "prior", " std", "softplus", "variance", "min_")
    plain = [row for row in rows if _noisy(row) and row.arithmetic and not any(word in row.kernel for word in others)]
    assert len(plain) >= 20
    for row in plain:
        # Those without a rounding may be contracted: in the noise there is nothing to contract.
        assert {"fma.rn.f32"} <= set(row.arithmetic) <= EXACT, row
        assert ("sqrt.rn.f32" in row.arithmetic) == (" eps" not in row.kernel), row


def test_the_report_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("op: forward", "sm_90", 40, 0, 0, 128, True, 100, 32, 4, ())
    faulty = Row("op: backward", "sm_90", 255, 16, 2, 32, True, 900, 32, 4, ())
    assert not row.faults
    assert faulty.faults == ["stack", "spills", "narrow loads"]
    monkeypatch.setattr(compile_report, "measure", lambda targets, only: [row, faulty])
    monkeypatch.setattr(report, "predict", lambda only: [])
    text = CliRunner().invoke(compile_report.main, [])
    assert text.exit_code == 1
    assert "2 kernels, 1 with" in text.output
    printed = json.loads(CliRunner().invoke(compile_report.main, ["--json"]).output)
    assert printed[0] == {
        "kernel": "op: forward", "target": "sm_90", "registers": 40, "stack": 0, "spills": 0, "load_bits": 128,
        "aligned": True, "instructions": 100,
    }  # fmt: skip


@pytest.mark.parametrize(
    "target",
    [pytest.param(name, marks=pytest.mark.slow if name == NVIDIA else pytest.mark.nightly) for name in report.TARGETS],
)
def test_kernels_of_large_tensors_move_each_byte_once(target: str) -> None:
    counted = report.count(target, environment={**os.environ, "TRITON_CACHE_DIR": str(KEPT / "triton")})
    moved: Counter[str] = Counter()
    for found in counted:
        moved[found.kernel.rpartition(" ")[0]] += found.bytes
    latents = {"reparameterize_kl": 32, "reparameterize_kl_packed": 32}
    losses = {"bce_logits": 12, "mse": 12}
    whole = {f"{op} float32": each for op, each in (latents | losses | {"gaussian_nll": 12}).items()}
    halves = {f"{op} bfloat16": each // 2 for op, each in (latents | losses).items()}
    bytes_of_pixels = {"bce_logits float32 uint8 target": 9, "bce_logits bfloat16 uint8 target": 5}
    assert moved == whole | halves | bytes_of_pixels | {"bce_probabilities float32": 12}
