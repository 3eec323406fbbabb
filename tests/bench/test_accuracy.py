"""`python -m bench.accuracy`: known errors are measured as such, and the page holds what is kept."""

from __future__ import annotations

import math
import shutil

import pytest
import torch
from click.testing import CliRunner

from bench.accuracy import __main__ as command
from bench.accuracy import definitions, errors, measuring, ops, page, rows, scales
from bench.accuracy.ops import BY_NAME, DTYPES, OPS
from bench.accuracy.regimes import ORDINARY

OP = BY_NAME["gaussian_kl"]
# What people write is off by more than rounding even in float64: Stirling's formula for log(count!), and densities in
# place of bins. scvi-tools adds 1e-8 where the definition does not.
APPROXIMATE = {
    "poisson_nll": 0.1, "poisson_nll_of_rate": 0.1, "discretized_logistic_mixture_nll": 1e-2,
    "negative_binomial_nll": 1e-6, "negative_binomial_nll, zero-inflated": 1e-6,
}  # fmt: skip


def row(**columns) -> rows.Row:
    """A row of a table."""
    given = {
        "date": "2026-01-01T00:00:00+00:00", "commit": "0", "device": "a CPU", "torch": "2", "triton": "3",
        "fastvae": "0", "op": OP.name, "dtype": "float32", "regime": ORDINARY, "result": "value",
        "implementation": "avx2", "unit": "relative", "elements": 2, "worst": 1e-7, "median": 1e-8, "wrong": 0,
        "not_finite": 0,
    }  # fmt: skip
    return rows.Row(**{**given, **columns})


@pytest.mark.parametrize("op", ["gaussian_kl", "mse_loss"])
def test_a_planted_error_is_measured_as_such(op):
    tensors = ops.inputs(BY_NAME[op], BY_NAME[op].regimes[ORDINARY], torch.float32)
    for result, exact in measuring.exact_results(BY_NAME[op], tensors, torch.float32).items():
        found = exact.value.clone()
        found[3, 4] += 1e-3 * exact.magnitude[3, 4]
        found[5, 6] += 0.5 * exact.magnitude[5, 6]
        measured = errors.measured(found, exact)
        assert measured.worst == pytest.approx(0.5), result
        assert (measured.median, measured.wrong, measured.not_finite) == (0, 1, 0), result
        found[5, 6] = math.nan
        assert errors.measured(found, exact)[1:] == (math.inf, 0, 1, 1), result


def test_of_a_well_determined_result_the_error_is_relative():
    tensors = {"input": torch.full((64, 64), 3.0, dtype=torch.float64), "target": torch.ones(64, 64).double()}
    exact = measuring.exact_results(BY_NAME["mse_loss"], tensors, torch.float32)["value"]
    # (3 - 1)^2 = 4, which changes by 2 * 2 * (3 + 1) per unit where both inputs move.
    torch.testing.assert_close(exact.magnitude.max(), torch.tensor(4.0 + 16.0).double(), rtol=1e-5, atol=0)


def test_where_inputs_cancel_their_rounding_is_forgiven():
    x = torch.linspace(-3, 3, 64).repeat(64, 1)
    tensors = {"input": x, "target": torch.sigmoid(x.double()).float()}
    exact = measuring.exact_results(BY_NAME["binary_cross_entropy_with_logits"], tensors, torch.float32)["d input"]
    found = (torch.sigmoid(x) - tensors["target"]).double()
    assert ((found - exact.value) / exact.value).abs().max() > 1e-2
    assert errors.measured(found, exact).worst < 1e-6


def test_what_the_dtype_does_not_hold_is_not_compared():
    exact = errors.held(
        torch.tensor([1e39, 1.0, 1e-45]).double(), torch.tensor([1e39, 1.0, 1e-45]).double(), torch.float32
    )
    assert errors.measured(torch.tensor([math.inf, 1.0, 0.0]), exact) == (2, pytest.approx(0, abs=1e-13), 0.0, 0, 0)


@pytest.mark.parametrize("op", [op for op in OPS if op.definition], ids=lambda op: op.name)
def test_the_reference_in_float64_is_the_definition(op):
    # The narrower dtypes are held to it. Not one of them has more than 24 bits.
    for regime, draws in op.regimes.items():
        tensors = {name: value.flatten()[:3] for name, value in ops.inputs(op, draws, torch.float32).items()}
        known = measuring.exact_results(op, tensors, torch.float32)
        wide = {name: value.double() for name, value in tensors.items()}
        of_definition = definitions.results(op.definition, wide, op.wanted)
        for (result, exact), value in zip(known.items(), of_definition, strict=True):
            assert errors.measured(value, exact).worst < 2**-33, (regime, result)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_what_people_write_is_the_same_loss(op):
    tensors = ops.inputs(op, op.regimes[ORDINARY], torch.float32)
    exact = measuring.exact_results(op, tensors, torch.float32)
    wide = {name: value.double() if value.is_floating_point() else value for name, value in tensors.items()}
    for result, found in ops.evaluate(op, op.eager, wide).items():
        assert errors.measured(found, exact[result]).worst < APPROXIMATE.get(op.name, 1e-10), result


def test_a_regime_that_a_dtype_does_not_hold_is_left_out():
    draws = BY_NAME["mse_loss"].regimes["1e10 to 1e18 apart"]
    assert ops.inputs(BY_NAME["mse_loss"], draws, torch.float16) is None
    assert ops.inputs(BY_NAME["mse_loss"], draws, torch.bfloat16) is not None


def test_a_newer_row_replaces_the_older_one_alone(tmp_path):
    first, second = rows.file_of("a CPU", tmp_path), rows.file_of("another", tmp_path)
    rows.replace(first, [row(), row(implementation="avx512")])
    rows.replace(first, [row(worst=2e-7)])
    assert [(each.implementation, each.worst) for each in rows.read(first)] == [("avx2", 2e-7), ("avx512", 1e-7)]
    rows.replace(second, [row(date="2026-02-01T00:00:00+00:00", device="another", worst=math.inf, median=None)])
    newest = {each.implementation: each for each in rows.newest(tmp_path)}
    assert newest["avx512"] == row(implementation="avx512")
    assert (newest["avx2"].worst, newest["avx2"].median) == (math.inf, None)


def test_a_file_of_other_columns_is_refused(tmp_path):
    path = tmp_path / "accuracy.csv"
    path.write_text("date,op\n2026,x\n")
    with pytest.raises(ValueError, match="got columns that differ"):
        rows.replace(path, [row()])


def test_a_machine_measures_what_it_has():
    assert command.groups("avx2") == [("eager", "avx2", "interpreter"), ("default",), ("compile",)]
    assert command.groups("default") == [("eager", "default", "interpreter"), ("compile",)]


@pytest.fixture
def copy(tmp_path):
    """A page to write into."""
    return shutil.copy(page.PAGE, tmp_path / "accuracy.md")


def test_the_command_keeps_what_it_measures_and_writes_the_page(tmp_path, copy, monkeypatch):
    line = {"op": OP.name, "dtype": "float32", "regime": ORDINARY, "result": "d mu", "unit": "relative", "elements": 9}
    line |= {"worst": math.inf, "median": 3e-8, "wrong": 2, "not_finite": 2}
    monkeypatch.setattr(command, "measured", lambda group, ops: [[{**line, "implementation": name} for name in group]])
    arguments = ["--results", str(tmp_path), "--page", str(copy), "--implementation", "eager"]
    result = CliRunner().invoke(command.main, arguments)
    assert result.exit_code == 0, result.output
    (kept,) = rows.newest(tmp_path)
    assert (kept.implementation, kept.worst) == ("eager", math.inf)
    assert "| `gaussian_kl` | float32 | **inf or NaN** |  |  |  |" in copy.read_text()


def test_an_error_without_two_digits_stands_out():
    assert [page.number(value) for value in (0, 1.4e-7, 0.0101, 0.5, 340.0)] == [
        "0",
        "1e-7",
        "**0.01**",
        "**0.5**",
        "**3e2**",
    ]


def test_the_page_holds_the_results_that_are_kept(copy):
    page.write(rows.newest(), copy)
    assert copy.read_text() == page.PAGE.read_text()


def test_every_result_that_is_kept_is_of_an_op_and_regime_of_the_tables():
    known = {(op.name, regime) for op in OPS for regime in measuring.regimes_of(op)}
    known |= {(op, scales.regime(form)) for op in scales.QUANTITIES.values() for form in page.PARAMETERIZATIONS}
    kept = rows.newest()
    assert {(each.op, each.regime) for each in kept} == known
    assert {each.dtype for each in kept} == set(map(measuring.name_of, DTYPES))


def test_all_scales_are_rows_of_the_value_and_of_the_gradients():
    found = scales.as_rows("reference", points=64)
    assert len(found) == len({(each["op"], each["regime"], each["result"]) for each in found}) == 5 * 3 * 2
