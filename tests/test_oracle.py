"""The comparators themselves: each must accept what is right and refuse what is not."""

import itertools

import pytest
import torch
from covering import covering
from oracle import Reduced, Standard, evaluate, three_way, why_refused

import fastvae

EXACT = torch.linspace(0.5, 2.0, 4000, dtype=torch.float64)
ROUNDED = EXACT.float()
OWN_ERROR = (ROUNDED - EXACT).abs().max().item()
STANDARD = Standard(EXACT, OWN_ERROR, 2 * torch.finfo(torch.float32).eps, torch.float32)


def test_a_correctly_rounded_result_passes():
    assert why_refused(ROUNDED, STANDARD) is None


def test_one_unit_more_than_torch_passes():
    assert why_refused(ROUNDED + 1.1e-7, STANDARD) is None


@pytest.mark.parametrize("error", [5e-7, 1e-3, float("nan"), float("inf")])
def test_a_single_wrong_element_is_refused(error):
    wrong = ROUNDED.clone()
    wrong[1234] += error
    assert "error" in why_refused(wrong, STANDARD)


def test_a_wrong_dtype_or_shape_is_refused():
    assert "float64" in why_refused(EXACT, STANDARD)
    assert "4000" in why_refused(ROUNDED[None], STANDARD)


def test_half_precision_is_held_to_one_rounding():
    half = EXACT.bfloat16()
    standard = Standard(EXACT, (half - EXACT).abs().max().item(), 2 * torch.finfo(torch.bfloat16).eps, torch.bfloat16)
    assert why_refused(half, standard) is None
    assert why_refused((EXACT * (1 + 3 * torch.finfo(torch.bfloat16).eps)).bfloat16(), standard)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "mistake", [{"value": 8.0}, {"gradient": 8.0}, {"first": 3e4}, {"sum": 8.0}], ids=lambda m: next(iter(m))
)
def test_three_way_sees_mistakes_of_a_few_units(dtype, mistake):
    unit = torch.finfo(dtype).eps

    def call(tensors, reduction):
        x, w = tensors["x"], tensors["w"]
        value = x * x * w
        if fastvae._backend.requested() == "auto":
            value = value + unit * mistake.get("value", 0) + unit * mistake.get("gradient", 0) * (x - x.detach())
            value = value + unit * mistake.get("first", 0) * (w - w.detach())
        total = value if reduction == "none" else value.sum()
        return total * (1 + unit * mistake.get("sum", 0)) if fastvae._backend.requested() == "auto" else total

    operands = {"x": EXACT.to(dtype), "w": torch.ones(1, dtype=dtype)}
    reduced = Reduced(EXACT.shape, "none" if "value" in mistake else "sum")
    with pytest.raises(AssertionError, match="torch's own"):
        three_way(call, operands, ("x", "w"), reduced)
    mistake = {}
    three_way(call, operands, ("x", "w"), reduced)


def test_evaluate_keeps_strides_and_uses_the_upstream():
    x = torch.arange(6.0).view(2, 3).t()
    seen = []

    def call(tensors):
        seen.append(tensors["x"].stride())
        return 2 * tensors["x"]

    result = evaluate(call, {"x": x}, ("x",), (torch.full((3, 2), 5.0),))
    assert seen == [x.stride()]
    assert torch.equal(result["gradient of x"], torch.full((3, 2), 10.0))


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_covering_covers(strength):
    axes = {"a": (1, 2, 3), "b": ("x", "y"), "c": (None, True), "d": (0.5, 1.5, 2.5)}

    def valid(case):
        return not (case.get("a") == 1 and case.get("b") == "x")

    cases = covering(strength, axes, valid)
    assert all(valid(case) for case in cases)
    for names in itertools.combinations(axes, strength):
        for values in itertools.product(*(axes[name] for name in names)):
            wanted = dict(zip(names, values, strict=True))
            assert not valid(wanted) or any(wanted.items() <= case.items() for case in cases)
    assert len(cases) < 36
