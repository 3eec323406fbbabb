"""Reparameterization and the KL: three ways, against torch.distributions, and packed against unpacked."""

import itertools
import math

import pytest
import torch

import fastvae
import fastvae.functional as F
from fastvae._options import PARAMETERIZATIONS, REDUCTIONS
from tests.support.backends import on_each
from tests.support.covering import covering
from tests.support.oracle import Reduced, evaluate, three_way
from tests.support.posteriors import (
    FLOATS,
    FORMS,
    MODIFIERS,
    PRIORS,
    draws_of,
    posterior,
    prior_of,
    scale_options,
    takes,
)

SHAPE = torch.Size((37, 61))
SEED = 20

AXES = {
    "parameterization": PARAMETERIZATIONS,
    "modifier": MODIFIERS,
    "prior": tuple(PRIORS),
    "dtype": FLOATS,
    "reduction": REDUCTIONS,
    "num_samples": (None, 1, 3),
    "noise": ("seed", "eps"),
}
# Rows of the second shape are whole groups of four elements. A single value as a prior takes several draws.
TRITON = {**AXES, "prior": ("none", "same", "row", "column"), "shape": (SHAPE, torch.Size((36, 64)))}


def skip_what_the_interpreter_lacks(backend, parameterization, prior_elements):
    if backend == "triton" and parameterization == "softplus" and prior_elements == 1:
        pytest.skip("Triton's interpreter combines no truth values of a single number")


def form_exists(case):
    return takes(case.get("parameterization"), case.get("modifier"))


def eps_for(num_samples, dtype, shape=SHAPE):
    shape = shape if num_samples is None else (num_samples, *shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)


def noise_of(tensors):
    return {"eps": tensors["eps"]} if "eps" in tensors else {"seed": SEED}


@pytest.mark.parametrize(
    ("backend", "case"), on_each(covering(3, AXES, form_exists), covering(2, TRITON, form_exists)), indirect=["backend"]
)
def test_three_ways(backend, case):
    shape = case.get("shape", SHAPE)
    draws = [
        posterior(case["parameterization"], shape, case["dtype"], case["prior"], seed)
        for seed in draws_of(case["prior"])
    ]
    wanted = tuple(draws[0])
    if case["noise"] == "eps":
        eps = eps_for(case["num_samples"], case["dtype"], shape)
        draws = [{**operands, "eps": eps} for operands in draws]
    options = scale_options(case["parameterization"], case["modifier"])

    def call(tensors, reduction):
        return F.reparameterize_kl(
            tensors["mu"], tensors["scale"], prior_of(tensors), **options, **noise_of(tensors),
            num_samples=case["num_samples"], reduction=reduction,
        )  # fmt: skip

    three_way(call, draws, wanted, Reduced(shape, case["reduction"]))


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(itertools.product(FORMS, FLOATS), ((form, torch.float32) for form in FORMS[::4])),
    indirect=["backend"],
)
def test_kl_alone(backend, case):
    (parameterization, modifier), dtype = case
    # A column's prior is rounded once for all rows: several draws even out torch's luck with it.
    prior, seeds = ("row", range(8)) if backend == "cpp" else ("same", range(1))
    draws = [posterior(parameterization, SHAPE, dtype, prior, seed) for seed in seeds]
    options = scale_options(parameterization, modifier)

    def call(tensors, reduction):
        return F.gaussian_kl(tensors["mu"], tensors["scale"], prior_of(tensors), **options, reduction=reduction)

    three_way(call, draws, tuple(draws[0]), Reduced(SHAPE, "sample"))


@pytest.mark.parametrize(("parameterization", "modifier"), FORMS)
@pytest.mark.parametrize("num_samples", [None, 2])
@pytest.mark.usefixtures("kernels")
def test_sample_alone(parameterization, modifier, num_samples):
    operands = posterior(parameterization, SHAPE)
    options = scale_options(parameterization, modifier)

    def call(tensors):
        return F.reparameterize(tensors["mu"], tensors["scale"], **options, seed=SEED, num_samples=num_samples)

    three_way(call, [operands], ("mu", "scale"), Reduced(SHAPE))


def normal(mu, scale, parameterization):
    sigma = {
        "logvar": lambda: (0.5 * scale).exp(),
        "log_std": scale.exp,
        "std": scale.abs,
        "softplus": lambda: torch.nn.functional.softplus(scale),
        "variance": scale.sqrt,
    }[parameterization]()
    return torch.distributions.Normal(mu, sigma)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("prior", PRIORS)
def test_kl_is_that_of_torch_distributions(parameterization, prior, backend):
    skip_what_the_interpreter_lacks(backend, parameterization, 1 if prior in ("one", "scalar") else SHAPE.numel())
    t = posterior(parameterization, (9, 7), torch.float64, prior)
    p = (
        normal(t["prior_mu"], t["prior_scale"], parameterization)
        if prior != "none"
        else torch.distributions.Normal(0, 1)
    )
    expected = torch.distributions.kl_divergence(normal(t["mu"], t["scale"], parameterization), p)
    kl = F.gaussian_kl(t["mu"], t["scale"], prior_of(t), parameterization=parameterization, reduction="none")
    torch.testing.assert_close(kl, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("parameterization", "modifier"), [form for form in FORMS if form[1].startswith("min")])
@pytest.mark.usefixtures("backend")
def test_floors(parameterization, modifier):
    t = posterior(parameterization, (9, 7), torch.float64)
    sigma = normal(t["mu"], t["scale"], parameterization).stddev
    floored = sigma + 0.1 if modifier == "min_std" else (sigma.square() + 0.05).sqrt()
    options = scale_options(parameterization, modifier)
    eps = torch.ones_like(sigma)
    z, kl = F.reparameterize_kl(t["mu"], t["scale"], **options, eps=eps, reduction="none")
    torch.testing.assert_close(z, t["mu"] + floored, rtol=1e-13, atol=1e-13)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(t["mu"], floored), torch.distributions.Normal(0, 1)
    )
    torch.testing.assert_close(kl, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("parameterization", "modifier"), [form for form in FORMS if form[1].startswith("min")])
@pytest.mark.usefixtures("kernels")
def test_a_floor_over_a_clamp(parameterization, modifier):
    options = scale_options(parameterization, modifier) | scale_options(parameterization, "clamp")
    operands = posterior(parameterization, SHAPE, prior="same")

    def call(tensors):
        return F.reparameterize_kl(
            tensors["mu"], tensors["scale"], prior_of(tensors), **options, seed=SEED, reduction="none"
        )

    found = evaluate(call, operands, tuple(operands))
    with fastvae.use_backend("reference"):
        expected = evaluate(call, {name: value.double() for name, value in operands.items()}, tuple(operands))
    for name, value in expected.items():
        torch.testing.assert_close(found[name].double(), value, rtol=2e-6, atol=1e-6)


@pytest.mark.usefixtures("backend")
def test_clamp_values_and_gradients_are_those_of_torch_clamp():
    low, high = -1.0, 2.0
    raw = torch.tensor([-3.0, low, -0.5, high, 2.5, float("inf"), -float("inf")]).requires_grad_()
    theirs = raw.detach().clone().requires_grad_()
    mu, eps = torch.zeros_like(raw), torch.ones_like(raw)
    z = F.reparameterize(mu, raw, clamp=(low, high), eps=eps)
    z.sum().backward()
    expected = torch.exp(0.5 * theirs.clamp(low, high))
    expected.sum().backward()
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(raw.grad, theirs.grad)


@pytest.mark.usefixtures("kernels")
def test_signed_std_keeps_its_sign():
    z = F.reparameterize(torch.zeros(3), torch.tensor([-2.0, 0.0, 2.0]), parameterization="std", eps=torch.ones(3))
    assert z.tolist() == [-2.0, 0.0, 2.0]


@pytest.mark.parametrize("num_samples", [None, 1, 4])
@pytest.mark.usefixtures("kernels")
def test_shapes_and_dtypes(num_samples):
    mu = torch.zeros(5, 3, 2, dtype=torch.bfloat16)
    z, kl = F.reparameterize_kl(mu, mu, num_samples=num_samples)
    assert z.shape == (mu.shape if num_samples is None else (num_samples, *mu.shape))
    assert (z.dtype, kl.dtype, kl.shape) == (torch.bfloat16, torch.float32, ())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.usefixtures("kernels")
def test_prior_and_eps_may_have_dtypes_of_their_own(dtype):
    operands = posterior("logvar", SHAPE, torch.float32)
    operands |= {
        name: value.to(dtype) for name, value in posterior("logvar", SHAPE, prior="row").items() if "prior" in name
    }
    operands["eps"] = eps_for(None, dtype)

    def call(tensors, reduction):
        return F.reparameterize_kl(
            tensors["mu"], tensors["scale"], prior_of(tensors), eps=tensors["eps"], reduction=reduction
        )

    three_way(call, [operands], ("mu", "scale", "prior_mu", "prior_scale"), Reduced(SHAPE, "sum"))


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("shape", [(), (1,), (4, 1), (6,), (3, 1, 6)], ids=str)
def test_the_gradient_of_a_broadcast_prior_is_the_sum_of_the_full_one(parameterization, shape, kernels):
    skip_what_the_interpreter_lacks(kernels, parameterization, math.prod(shape))
    t = posterior(parameterization, (3, 4, 6))
    prior = [part.requires_grad_() for part in posterior(parameterization, shape, seed=1).values()]
    full = [part.detach().expand(3, 4, 6).clone().requires_grad_() for part in prior]
    summed, terms = (
        torch.autograd.grad(F.gaussian_kl(*t.values(), tuple(pair), parameterization=parameterization), pair)
        for pair in (prior, full)
    )
    for value, term in zip(summed, terms, strict=True):
        rounding = torch.finfo(torch.float32).eps * value.abs()
        assert ((value - term.double().sum_to_size(shape)).abs() <= rounding).all()


@pytest.mark.parametrize(
    "shapes", [((1, 5), (5,)), ((1, 1, 5), (5,)), ((3, 1), (1,)), ((3, 1), (1, 1)), ((1,), ())], ids=str
)
@pytest.mark.usefixtures("kernels")
def test_a_prior_that_only_lacks_dimensions_of_one(shapes):
    operands = posterior("logvar", shapes[0], torch.float64)
    operands |= {
        f"prior_{name}": value for name, value in posterior("logvar", shapes[1], torch.float64, seed=1).items()
    }

    def call(tensors):
        return F.gaussian_kl(tensors["mu"], tensors["scale"], prior_of(tensors))

    found = evaluate(call, operands, tuple(operands))
    with fastvae.use_backend("reference"):
        expected = evaluate(call, operands, tuple(operands))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
