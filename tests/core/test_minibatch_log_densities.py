"""Log-densities of the aggregate posterior: against the paper's matrices in float64, and as three-way tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fastvae
import fastvae.functional as F
from tests.support.backends import on_each
from tests.support.covering import covering
from tests.support.layouts import LAYOUTS
from tests.support.oracle import evaluate, nearly_as_exact_as_torch
from tests.support.posteriors import FLOATS, FORMS, raw_scale, scale_options

WANTED = ("z", "mu", "scale")


def operands_of(shape, dtype=torch.float32, parameterization="logvar", seed=0):
    """Samples of a batch's posteriors, near enough to overlap."""
    generator = torch.Generator().manual_seed(seed)
    mu = torch.randn(shape, generator=generator, dtype=torch.float64)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    scale = raw_scale(parameterization, shape, generator, torch.float64)
    return {"z": (mu + 0.7 * noise).to(dtype), "mu": mu.to(dtype), "scale": scale.to(dtype)}


def call(tensors, **options):
    return F.minibatch_log_densities(*(tensors[name] for name in WANTED), **{"dataset_size": 1000, **options})


def stratified_weights(batch, dataset_size):
    """Appendix C.2, element by element: what z_i was drawn from, one more, and all others."""
    m = batch - 1
    weights = np.full((batch, batch), 1 / m)
    for i in range(batch):
        weights[i, (i + 1) % batch] = (dataset_size - m) / (dataset_size * m)
        weights[i, i] = 1 / dataset_size
    return weights


def naive(z, mu, logvar, weights):
    """The densities one by one."""
    batch, dims = z.shape
    density = np.empty((batch, batch, dims))
    for i in range(batch):
        for j in range(batch):
            variance = np.exp(logvar[j])
            density[i, j] = np.exp(-0.5 * (z[i] - mu[j]) ** 2 / variance) / np.sqrt(2 * math.pi * variance)
    joint = (weights * density.prod(2)).sum(1)
    marginals = (weights[:, :, None] * density).sum(1)
    return np.log(joint), np.log(marginals).sum(1)


@pytest.mark.parametrize("weighting", ["mws", "mss"])
@pytest.mark.parametrize("batch", [2, 3, 19])
@pytest.mark.usefixtures("backend")
def test_it_is_the_papers_formula(batch, weighting):
    tensors = operands_of((batch, 4), torch.float64)
    weights = stratified_weights(batch, 1000) if weighting == "mss" else np.full((batch, batch), 1 / (1000 * batch))
    expected = naive(*(tensors[name].numpy() for name in WANTED), weights)
    for mine, exact in zip(call(tensors, weighting=weighting), expected, strict=True):
        torch.testing.assert_close(mine, torch.from_numpy(exact), rtol=1e-12, atol=1e-12)


SHAPES = ((17, 3), (64, 10), (300, 5), (33, 40), (20, 3, 4), (48, 129))
AXES = {"shape": SHAPES, "form": FORMS, "dtype": FLOATS, "weighting": ("mws", "mss")}
TRITON = {**AXES, "shape": ((17, 3), (20, 3, 4), (33, 150))}


@pytest.mark.parametrize(("backend", "case"), on_each(covering(2, AXES), covering(1, TRITON)), indirect=["backend"])
def test_three_ways(backend, case):
    parameterization, modifier = case["form"]
    few = 1 if backend == "triton" else 2
    draws = [operands_of(case["shape"], case["dtype"], parameterization, seed) for seed in range(few)]
    options = scale_options(parameterization, modifier) | {"weighting": case["weighting"]}
    nearly_as_exact_as_torch(lambda tensors: call(tensors, **options), draws, WANTED)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("kernels")
def test_any_layout(layout):
    tensors = operands_of((37, 5))
    expected = evaluate(call, tensors, WANTED)
    results = evaluate(call, {name: LAYOUTS[layout](value) for name, value in tensors.items()}, WANTED)
    for name, value in expected.items():
        torch.testing.assert_close(results[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 3), (5,), (1, 1)])
@pytest.mark.usefixtures("kernels")
def test_empty_and_single(shape):
    tensors = operands_of(shape)
    results = evaluate(call, tensors, WANTED)
    with fastvae.use_backend("reference"):
        expected = evaluate(call, tensors, WANTED)
    for name, value in expected.items():
        torch.testing.assert_close(results[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("kernels")
def test_one_row_under_itself_alone():
    """With a batch of 1 all that is left is log q(z | x) - log N."""
    tensors = operands_of((1, 6), torch.float64)
    log_qz, log_qz_product = call(tensors)
    posterior = F.log_normal(*tensors.values())
    torch.testing.assert_close(log_qz, posterior - math.log(1000))
    torch.testing.assert_close(log_qz_product, posterior - 6 * math.log(1000))


@pytest.mark.parametrize("distance", [30.0, 1e3, 1e6])
@pytest.mark.parametrize("weighting", ["mws", "mss"])
@pytest.mark.usefixtures("kernels")
def test_far_from_every_posterior(distance, weighting):
    """Where every density of a row is 0 in float32, its logarithm and gradient are not."""
    tensors = operands_of((40, 3))
    tensors["z"][7] += distance
    tensors["z"][9, 1] -= distance
    results = evaluate(lambda t: call(t, weighting=weighting), tensors, WANTED)
    exact = evaluate(
        lambda t: call(t, weighting=weighting), {name: value.double() for name, value in tensors.items()}, WANTED
    )
    for name in ("output 0", "output 1"):
        torch.testing.assert_close(results[name].double(), exact[name], rtol=1e-6, atol=1e-5)
    assert all(value.isfinite().all() for value in results.values())
    if distance < 1e6:  # from there on, float32 does not hold what tells the components apart
        near = torch.ones(40, dtype=torch.bool)
        near[[7, 9]] = False
        torch.testing.assert_close(results["gradient of z"].double(), exact["gradient of z"], rtol=2e-3, atol=2e-3)


@pytest.mark.usefixtures("kernels")
def test_collapsed_and_unused_dimensions():
    """sigma of 1e-20 and of 1e20 beside ordinary ones."""
    tensors = operands_of((24, 3))
    tensors["z"][:, 0] = tensors["mu"][:, 0]
    tensors["scale"][:, 0] = 2 * math.log(1e-20)
    tensors["scale"][:, 1] = 2 * math.log(1e20)
    results = evaluate(call, tensors, WANTED)
    exact = evaluate(call, {name: value.double() for name, value in tensors.items()}, WANTED)
    for name in ("output 0", "output 1"):
        torch.testing.assert_close(results[name].double(), exact[name], rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # numpy's, which is the interpreter's maximum
@pytest.mark.parametrize("name", WANTED)
@pytest.mark.usefixtures("kernels")
def test_nan_goes_where_the_formula_takes_it(name):
    tensors = operands_of((30, 4))
    tensors[name][3, 2] = math.nan
    log_qz, log_qz_product = call(tensors)
    touched = torch.zeros(30, dtype=torch.bool)
    touched[3 if name == "z" else slice(None)] = True
    assert torch.equal(log_qz.isnan(), touched)
    assert torch.equal(log_qz_product.isnan(), touched)


@pytest.mark.usefixtures("kernels")
def test_the_order_of_the_posteriors_is_no_matter():
    tensors = operands_of((50, 4), torch.float64)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    shuffled = {name: value[order] for name, value in tensors.items()}
    for mine, other in zip(call(tensors), call(shuffled), strict=True):
        torch.testing.assert_close(mine[order], other, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.usefixtures("kernels")
def test_one_of_the_two_alone(which):
    tensors = operands_of((40, 6), torch.float64)
    alone = evaluate(lambda t: call(t)[which], tensors, WANTED)
    with fastvae.use_backend("reference"):
        expected = evaluate(lambda t: call(t)[which], tensors, WANTED)
    for name, value in expected.items():
        torch.testing.assert_close(alone[name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(700, 3), (1500, 2), (90, 140)])
def test_the_same_bits_on_any_number_of_threads(shape):
    tensors = operands_of(shape)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            results.append(evaluate(call, tensors, WANTED))
    finally:
        torch.set_num_threads(before)
    assert all(
        torch.equal(first, value)
        for other in results[1:]
        for first, value in zip(results[0].values(), other.values(), strict=True)
    )


@pytest.mark.parametrize("weighting", ["mws", "mss"])
def test_gradcheck(weighting):
    tensors = operands_of((9, 3), torch.float64)
    leaves = [tensors[name].requires_grad_() for name in WANTED]
    assert torch.autograd.gradcheck(
        lambda z, mu, scale: F.minibatch_log_densities(z, mu, scale, dataset_size=100, weighting=weighting), leaves
    )


def test_a_second_backward_and_a_second_derivative():
    tensors = operands_of((12, 3))
    leaves = [tensors[name].requires_grad_() for name in WANTED]
    loss = sum(value.mean() for value in call(tensors))
    first, second = (torch.autograd.grad(loss, leaves, retain_graph=True) for _ in range(2))
    assert all(map(torch.equal, first, second))
    (gradient,) = torch.autograd.grad(loss, leaves[:1], create_graph=True)
    with pytest.raises(NotImplementedError, match="minibatch_log_densities: got a second derivative"):
        gradient.sum().backward()


def test_vmap_is_row_by_row():
    batched = {name: torch.stack([operands_of((11, 3), seed=seed)[name] for seed in range(3)]) for name in WANTED}
    mapped = torch.vmap(lambda z, mu: F.minibatch_log_densities(z, mu, batched["scale"][0], dataset_size=50))
    results = mapped(batched["z"], batched["mu"])
    for row in range(3):
        alone = F.minibatch_log_densities(batched["z"][row], batched["mu"][row], batched["scale"][0], dataset_size=50)
        assert all(torch.equal(result[row], value) for result, value in zip(results, alone, strict=True))


@given(batch=st.integers(2, 40), dims=st.integers(1, 6), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_independent_dimensions_have_no_total_correlation(batch, dims, seed):
    """With one posterior for all rows, q(z) is that posterior, and the product of its marginals."""
    row = operands_of((1, dims), torch.float64, seed=seed)
    tensors = {name: value.expand(batch, dims) for name, value in row.items()}
    log_qz, log_qz_product = call(tensors, dataset_size=batch)
    # Each estimate of a dimension is less by log N than the density, as that of all of them is.
    less = (dims - 1) * math.log(batch)
    torch.testing.assert_close(log_qz - log_qz_product, torch.full_like(log_qz, less), rtol=1e-10, atol=1e-10)


def test_total_correlation_of_correlated_codes_is_positive():
    """Of z = (u, u + noise) it is about -log sqrt(1 - rho^2), estimated from the whole data set."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(4096, 1, generator=generator, dtype=torch.float64)
    mu = torch.cat([u, u + 0.5 * torch.randn(4096, 1, generator=generator, dtype=torch.float64)], 1)
    logvar = torch.full_like(mu, 2 * math.log(0.1))
    z = mu + 0.1 * torch.randn(mu.shape, generator=generator, dtype=torch.float64)
    # One N too many in the product of two dimensions: the estimate is biased by log N there.
    log_qz, log_qz_product = F.minibatch_log_densities(z, mu, logvar, dataset_size=4096)
    total = (log_qz - log_qz_product).mean() - math.log(4096)
    covariance = torch.cov(z.T)
    exact = -0.5 * (torch.logdet(covariance) - covariance.diagonal().log().sum())
    assert abs(total - exact) < 0.1 * exact


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z": torch.zeros(3, 3)}, "mu: got shape"),
        ({"mu": torch.zeros(4, 2)}, "scale: got shape"),
        ({"z": torch.zeros(4, 3, dtype=torch.int64)}, "z: got dtype int64"),
        ({"scale": [0.0]}, "scale: got list"),
        ({"dataset_size": 0}, "dataset_size: got 0"),
        ({"dataset_size": 2.5}, "dataset_size: got 2.5"),
        ({"weighting": "exact"}, "weighting: got 'exact'"),
        ({"weighting": "mss", "dataset_size": 3}, "z: got a batch of 4 with weighting='mss'"),
        ({"parameterization": "precision"}, "parameterization: got 'precision'"),
        ({"min_std": -1.0}, "min_std: got -1.0"),
    ],
)
@pytest.mark.usefixtures("backend")
def test_bad_input_is_refused_by_name(changes, message):
    arguments = {**operands_of((4, 3)), "dataset_size": 100} | changes
    with pytest.raises((ValueError, TypeError), match=message):
        F.minibatch_log_densities(**arguments)


def test_a_stratified_batch_of_one_is_refused():
    with pytest.raises(ValueError, match="z: got a batch of 1 with weighting='mss'; takes 2 to dataset_size, 1000"):
        call(operands_of((1, 3)), weighting="mss")
