"""The Gaussian log-density: three ways and against torch.distributions."""

import itertools

import pytest
import torch

import fastvae.functional as F
from fastvae._options import PARAMETERIZATIONS, REDUCTIONS
from tests.support.backends import on_each
from tests.support.covering import covering
from tests.support.oracle import Reduced, three_way
from tests.support.posteriors import FLOATS, FORMS, MODIFIERS, PRIORS, draws_of, posterior, scale_options, takes

SHAPE = torch.Size((37, 61))
AXES = {
    "parameterization": PARAMETERIZATIONS,
    "modifier": MODIFIERS,
    "moments": tuple(PRIORS),
    "dtype": FLOATS,
    "reduction": REDUCTIONS,
}


def operands_of(parameterization, moments, dtype, moments_dtype=None, shape=SHAPE, seed=0):
    """z, and the moments it is judged by, of shapes that broadcast to it."""
    tensors = posterior(parameterization, shape, dtype, moments, seed)
    renamed = {"z": 2 * tensors["mu"]}
    if moments != "none":
        renamed |= {name: tensors[f"prior_{name}"].to(moments_dtype or dtype) for name in ("mu", "scale")}
    return renamed


# Rows of the second shape are whole groups of four elements. A single value as a moment takes several draws.
TRITON = {**AXES, "moments": ("none", "same", "row", "column"), "shape": (SHAPE, torch.Size((36, 64)))}


def form_exists(case):
    return takes(case.get("parameterization"), case.get("modifier"))


@pytest.mark.parametrize(
    ("backend", "case"), on_each(covering(3, AXES, form_exists), covering(2, TRITON, form_exists)), indirect=["backend"]
)
def test_three_ways(backend, case):
    shape = case.get("shape", SHAPE)
    draws = [
        operands_of(case["parameterization"], case["moments"], case["dtype"], shape=shape, seed=seed)
        for seed in draws_of(case["moments"])
    ]
    options = scale_options(case["parameterization"], case["modifier"])

    def call(tensors, reduction):
        return F.log_normal(tensors["z"], tensors.get("mu"), tensors.get("scale"), **options, reduction=reduction)

    three_way(call, draws, tuple(draws[0]), Reduced(shape, case["reduction"]))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("moments_dtype", FLOATS, ids=str)
@pytest.mark.usefixtures("kernels")
def test_moments_may_have_a_dtype_of_their_own(dtype, moments_dtype):
    operands = operands_of("softplus", "row", dtype, moments_dtype)

    def call(tensors, reduction):
        return F.log_normal(*tensors.values(), parameterization="softplus", reduction=reduction)

    three_way(call, [operands], tuple(operands), Reduced(SHAPE, "sample"))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.usefixtures("kernels")
def test_samples_under_one_posterior(reduction):
    """[K, batch, ...] samples under a [batch, ...] posterior, two batch dimensions."""
    shape = torch.Size((3, 19, 41))
    operands = {"z": torch.randn(shape, generator=torch.Generator().manual_seed(1))} | posterior("logvar", shape[1:])

    def call(tensors, reduction):
        return F.log_normal(tensors["z"], tensors["mu"], tensors["scale"], reduction=reduction, batch_dims=2)

    three_way(call, [operands], tuple(operands), Reduced(shape, reduction, 2))


def sigma(scale, parameterization, modifier):
    if modifier == "clamp":
        scale = scale.clamp(*scale_options(parameterization, modifier)["clamp"])
    plain = {
        "logvar": lambda: (0.5 * scale).exp(),
        "log_std": scale.exp,
        "std": scale.abs,
        "softplus": lambda: torch.nn.functional.softplus(scale),
        "variance": scale.sqrt,
    }[parameterization]()
    floors = {"min_std": lambda: plain + 0.1, "min_var": lambda: (plain.square() + 0.05).sqrt()}
    return floors.get(modifier, lambda: plain)()


@pytest.mark.parametrize(("parameterization", "modifier"), FORMS)
@pytest.mark.usefixtures("backend")
def test_it_is_that_of_torch_distributions(parameterization, modifier):
    t = operands_of(parameterization, "same", torch.float64, shape=(9, 7))
    expected = torch.distributions.Normal(t["mu"], sigma(t["scale"], parameterization, modifier)).log_prob(t["z"])
    mine = F.log_normal(*t.values(), **scale_options(parameterization, modifier))
    torch.testing.assert_close(mine, expected.sum(1), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("backend")
def test_the_standard_normal():
    z = torch.randn(9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mine = F.log_normal(z, reduction="none")
    torch.testing.assert_close(mine, torch.distributions.Normal(0.0, 1.0).log_prob(z), rtol=1e-13, atol=1e-13)


BROADCAST = list(itertools.product([(), (5,), (4, 1), (3, 4, 5)], repeat=2))


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(BROADCAST, [torch.float32, torch.bfloat16]),
        zip(BROADCAST, itertools.cycle([torch.float32, torch.bfloat16, torch.float32]), strict=False),
    ),
    indirect=["backend"],
)
def test_the_gradients_of_broadcast_moments_are_sums(backend, case):
    (mu, scale), dtype = case
    z = 2 * posterior("logvar", (3, 4, 5))["mu"]
    moments = posterior("logvar", mu, dtype, seed=1)["mu"], posterior("logvar", scale, dtype, seed=2)["scale"]
    moments = [part.requires_grad_() for part in moments]
    full = [part.detach().float().expand(z.shape).clone().requires_grad_() for part in moments]
    value, expanded = F.log_normal(z, *moments), F.log_normal(z, *full)
    assert torch.equal(value, expanded)
    summed, terms = torch.autograd.grad(value.sum(), moments), torch.autograd.grad(expanded.sum(), full)
    for gradient, term in zip(summed, terms, strict=True):
        rounding = torch.finfo(dtype).eps * gradient.double().abs()
        assert ((gradient.double() - term.double().sum_to_size(gradient.shape)).abs() <= rounding).all()
