"""The comparators themselves: each must accept what is right and refuse what is not."""

import itertools

import pytest
import torch

import fastvae
from tests.support.covering import covering
from tests.support.oracle import Reduced, Standard, evaluate, three_way, why_refused

EXACT = torch.linspace(0.5, 2.0, 4000, dtype=torch.float64)
ROUNDED = EXACT.float()
OWN_ERROR = (ROUNDED - EXACT).abs().max().item()
EPS = torch.finfo(torch.float32).eps
STANDARD = Standard(EXACT, torch.float32, 2.0, OWN_ERROR / 2, EPS)


def refused(*fused, standard=STANDARD):
    return why_refused(fused, [standard] * len(fused))


def test_a_correctly_rounded_result_passes():
    assert refused(ROUNDED) is None


def test_one_unit_more_than_torch_passes():
    assert refused(ROUNDED + 1.1e-7) is None


@pytest.mark.parametrize("error", [5e-7, 1e-3, float("nan"), float("inf")])
@pytest.mark.parametrize("draw", [0, 1])
def test_a_single_wrong_element_is_refused(error, draw):
    wrong = ROUNDED.clone()
    wrong[1234] += error
    assert "error" in refused(*(wrong if i == draw else ROUNDED for i in range(2)))


def test_a_wrong_dtype_or_shape_is_refused():
    assert refused(EXACT)
    assert refused(ROUNDED[None])


def test_half_precision_is_held_to_one_rounding():
    half, eps = EXACT.bfloat16(), torch.finfo(torch.bfloat16).eps
    standard = Standard(EXACT, torch.bfloat16, 2.0, (half - EXACT).abs().max().item() / 2, eps)
    assert refused(half, standard=standard) is None
    assert refused((EXACT * (1 + 3 * eps)).bfloat16(), standard=standard)


def test_where_nothing_is_expected_nothing_passes_but_zero():
    standard = Standard(torch.zeros(3), torch.float32, 0.0, 0.0, EPS)
    assert refused(torch.zeros(3), standard=standard) is None
    assert refused(torch.full((3,), 1e-30), standard=standard)


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
        three_way(call, [operands], ("x", "w"), reduced)
    mistake = {}
    three_way(call, [operands], ("x", "w"), reduced)


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
