"""Every op on the device: fused, torch in the same dtype, torch in float64, all three there.

The standard is that of `oracle`: torch's own error, once, and one unit in the last place; where said, `check`'s.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as torch_functional
from torch import Tensor

import fastvae
import fastvae.functional as F
from bench.accuracy import scales
from fastvae._options import PARAMETERIZATIONS, REDUCTIONS
from tests.support.covering import Case, covering, label
from tests.support.layouts import LAYOUTS, expand_first
from tests.support.ops import LOSSES, OPS, PAIRED, Op
from tests.support.oracle import Reduced, evaluate, nearly_as_exact_as_torch, three_way
from tests.support.posteriors import FLOATS, FORMS, PRIORS, draws_of, posterior, prior_of, scale_options

from .conftest import DRY_RUN, INTERPRETED, ON_MACHINE, thinned
from .twice import check

VIEWS = {**LAYOUTS, "expanded": expand_first}
SHAPE = torch.Size((5, 8, 6, 20))
ODD = torch.Size((37, 61))
# On the machine as many as take the blocks of a full device.
LARGE = torch.Size((3, 1501) if INTERPRETED else (91, 1501) if ON_MACHINE else (700, 3001))


def on(device: str, tensors: dict[str, Tensor], layout: str = "contiguous") -> dict[str, Tensor]:
    return {name: VIEWS[layout](t.to(device)) for name, t in tensors.items()}


def reduced(op: Op, shape: torch.Size, reduction: str) -> Reduced:
    return Reduced(shape, reduction if op.reduces else None)


AXES = {
    "name": tuple(OPS),
    "dtype": FLOATS,
    "layout": tuple(VIEWS),
    "reduction": REDUCTIONS,
    "upstream": ("any", "one"),
}


@pytest.mark.parametrize("case", thinned(covering(2, AXES)), ids=label)
def test_three_ways(device: str, case: Case) -> None:
    op = OPS[case["name"]]
    operands = on(device, op.operands(SHAPE, case["dtype"]), case["layout"])
    three_way(
        op.call, [operands], op.wanted, reduced(op, SHAPE, case["reduction"]), unit_upstream=case["upstream"] == "one"
    )


@pytest.mark.parametrize(("name", "dtype"), thinned(list(itertools.product(OPS, FLOATS))))
def test_sizes_that_nothing_divides(device: str, name: str, dtype: torch.dtype) -> None:
    op = OPS[name]
    # The largest values have the largest errors, and they are few: one draw would be a matter of luck.
    draws = 1 if DRY_RUN else 4
    together = op.operands(torch.Size((draws * ODD[0], ODD[1])), dtype)
    parts = [{name: value.chunk(draws)[draw] for name, value in together.items()} for draw in range(draws)]
    three_way(op.call, [on(device, part) for part in parts], op.wanted, reduced(op, ODD, "sample"))


PAIRS = {"name": tuple(PAIRED), "dtype": FLOATS, "shape": ((17, 3), (20, 3, 4), (40, 10), (9, 33))}


@pytest.mark.parametrize("case", thinned(covering(2, PAIRS)), ids=label)
def test_sums_over_pairs(device: str, case: Case) -> None:
    op = PAIRED[case["name"]]
    operands = on(device, op.operands(torch.Size(case["shape"]), case["dtype"]))
    nearly_as_exact_as_torch(op.call, [operands], op.wanted, times=4)


@pytest.mark.parametrize("name", thinned(list(OPS)))
def test_many_programs(device: str, name: str) -> None:
    """Where sums have many parts; among so many elements twice torch's error is what `check` allows."""
    op = OPS[name]
    operands = on(device, op.operands(LARGE, torch.float32))
    options = reduced(op, LARGE, "batchmean").options()
    leaves = [value.requires_grad_(key in op.wanted) for key, value in operands.items()]
    check(lambda *values: op.call(dict(zip(operands, values, strict=True)), **options), *leaves)


SCALES = {"form": tuple(FORMS), "prior": tuple(PRIORS), "num_samples": (None, 1, 3), "dtype": FLOATS}


@pytest.mark.parametrize("case", thinned(covering(1, SCALES)), ids=label)
def test_scale_forms_and_priors(device: str, case: Case) -> None:
    parameterization, modifier = case["form"]
    options = scale_options(parameterization, modifier)
    draws = [
        on(device, posterior(parameterization, ODD, case["dtype"], case["prior"], seed))
        for seed in draws_of(case["prior"])
    ]

    def call(tensors: dict[str, Tensor], reduction: str) -> tuple[Tensor, Tensor]:
        return F.reparameterize_kl(
            tensors["mu"], tensors["scale"], prior_of(tensors), **options, seed=20, num_samples=case["num_samples"],
            reduction=reduction,
        )  # fmt: skip

    three_way(call, draws, tuple(draws[0]), Reduced(ODD, "sample"))


TARGETS = {
    "loss": LOSSES,
    "target": (torch.uint8, torch.bool, torch.float64, torch.bfloat16),
    "weight": ("none", "sample", "mask"),
    "dtype": FLOATS,
    "length": (20, 21),
}


@pytest.mark.parametrize("case", thinned(covering(2, TARGETS)), ids=label)
def test_targets_and_weights(device: str, case: Case) -> None:
    shape = torch.Size((60, case["length"]))
    operands = OPS[case["loss"]].operands(shape, case["dtype"])
    uniform, target = operands["target"].double(), case["target"]
    operands["target"] = (
        (255 * uniform).to(target)
        if target == torch.uint8
        else uniform > 0.5
        if target == torch.bool
        else uniform.to(target)
    )
    weight = operands.pop("weight")
    weights = {"none": None, "sample": weight[:, :1], "mask": weight > 0.8}
    operands = on(device, operands)

    def call(tensors: dict[str, Tensor], reduction: str) -> Tensor:
        positional = [tensors[name] for name in ("input", "target", "log_scale") if name in tensors]
        factor = weights[case["weight"]]
        return getattr(F, case["loss"])(
            *positional, weight=None if factor is None else factor.to(device), reduction=reduction
        )

    three_way(call, [operands], ("input",), Reduced(shape, "batchmean"))


@pytest.mark.parametrize(("name", "factor"), thinned(list(itertools.product(OPS, (1.0, -2.0)))))
def test_a_second_backward_through_a_retained_graph_is_the_first(device: str, name: str, factor: float) -> None:
    op = OPS[name]
    tensors = {
        key: t.requires_grad_(key in op.wanted) for key, t in on(device, op.operands(ODD, torch.float32)).items()
    }
    outputs = op.call(tensors, **({"reduction": "sum"} if op.reduces else {}))
    total = factor * sum(output.sum() for output in (outputs if isinstance(outputs, tuple) else (outputs,)))
    wanted = [tensors[key] for key in op.wanted]
    first = torch.autograd.grad(total, wanted, retain_graph=True)
    for value, again in zip(first, torch.autograd.grad(total, wanted), strict=True):
        torch.testing.assert_close(again, value, rtol=3e-7, atol=0)


@pytest.mark.parametrize("name", thinned(list(OPS)))
def test_every_run_gives_the_same_bits(device: str, name: str) -> None:
    op = OPS[name]
    operands = on(device, op.operands(LARGE, torch.float32))
    options = {"reduction": "sum"} if op.reduces else {}
    first, second = (evaluate(op.call, operands, op.wanted, **options) for _ in range(2))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("loss", ["binary_cross_entropy_with_logits", "mse_loss", "l1_loss"])
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_inplace_writes_the_same_gradient_over_the_input(device: str, loss: str, factor: float) -> None:
    tensors = on(device, OPS[loss].operands(ODD, torch.float32))
    leaf = tensors["input"].requires_grad_()
    (expected,) = torch.autograd.grad(factor * getattr(F, loss)(leaf * 1, tensors["target"]), leaf)
    input = leaf * 1
    address = input.data_ptr()
    (found,) = torch.autograd.grad(factor * getattr(F, loss)(input, tensors["target"], inplace=True), leaf)
    assert torch.equal(found, expected)
    assert torch.equal(input.detach(), expected)
    assert input.data_ptr() == address


SPECIAL = (-math.inf, -1e30, -104.0, -88.0, -1e-30, 0.0, 1.0, 17.0, 88.0, 104.0, 1e30, math.inf, math.nan)


@pytest.mark.parametrize("loss", ["binary_cross_entropy_with_logits", "mse_loss"])
def test_special_values_are_torchs(device: str, loss: str) -> None:
    x, target = torch.cartesian_prod(torch.tensor(SPECIAL), torch.tensor((0.0, 0.25, 1.0))).to(device).unbind(1)
    operands = {"input": x, "target": target}
    found, expected = (
        evaluate(lambda t, f=f: getattr(f, loss)(**t, reduction="none"), operands, ("input",))
        for f in (F, torch_functional)
    )
    for key, value in expected.items():
        # An exponential below 2^-125 is 0 here and may be denormal in torch.
        torch.testing.assert_close(found[key], value, rtol=5e-7, atol=3e-38, equal_nan=True)


def test_special_scales_are_those_of_the_reference(device: str) -> None:
    values = torch.tensor((-math.inf, -200.0, -90.0, -30.0, 30.0, 80.0, 89.0, 200.0, math.inf, math.nan))
    mu, scale = torch.cartesian_prod(torch.tensor((0.0, 1e30, math.inf, math.nan)), values).to(device).unbind(1)
    operands = {"mu": mu, "scale": scale}

    def call(tensors: dict[str, Tensor]) -> Tensor:
        return F.gaussian_kl(tensors["mu"], tensors["scale"], reduction="none")

    found = evaluate(call, operands, ("mu", "scale"))
    with fastvae.use_backend("reference"):
        expected = evaluate(call, operands, ("mu", "scale"))
        exact = evaluate(call, {name: value.double() for name, value in operands.items()}, ("mu", "scale"))
    for key, value in expected.items():
        # ptxas halves a product before it rounds it (FMUL.D2), which keeps e^89 / 2 where the reference has infinity.
        kept = value.isinf() & torch.isclose(found[key].double(), exact[key], rtol=1e-6, atol=0)
        torch.testing.assert_close(found[key].where(~kept, value), value, rtol=1e-6, atol=2e-38, equal_nan=True)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_every_scale(device: str, parameterization: str) -> None:
    """From the smallest normal sigma to the largest; twice torch's error and a unit, as everywhere among so many."""
    tensors = scales.operands(parameterization, 512)
    exact = scales.sums(parameterization, tensors)
    with fastvae.use_backend("reference"):
        own = {name: scales.worst(value, exact[name]) for name, value in scales.results(parameterization, tensors)}
    moved = {name: value.to(device) for name, value in tensors.items()}
    found = {name: scales.worst(value.cpu(), exact[name]) for name, value in scales.results(parameterization, moved)}
    assert {name: error for name, error in found.items() if not error <= 2 * own[name] + 1} == {}


@pytest.mark.parametrize("offset", [1e-4, 1e-2])
def test_the_kl_near_the_prior_does_not_cancel(device: str, offset: float) -> None:
    raw = offset * torch.linspace(0.5, 1.5, 257, dtype=torch.float64)
    exact = 0.5 * (raw.float().double().expm1() - raw.float().double())
    found = F.gaussian_kl(torch.zeros(257, device=device), raw.float().to(device), reduction="none").cpu()
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
@pytest.mark.parametrize("name", [name for name in OPS if OPS[name].reduces])
def test_nothing(device: str, name: str, shape: tuple[int, ...]) -> None:
    op = OPS[name]
    operands = on(device, op.operands(shape, torch.float32))
    found = evaluate(op.call, operands, op.wanted, reduction="batchmean")
    with fastvae.use_backend("reference"):
        expected = evaluate(op.call, operands, op.wanted, reduction="batchmean")
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, equal_nan=True, rtol=0, atol=0)
