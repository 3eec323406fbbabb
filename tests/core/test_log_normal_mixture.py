"""The log-density of a mixture of Gaussians: against torch.distributions, one Gaussian, and as three-way tests."""

from __future__ import annotations

import math

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

WANTED = ("z", "mu", "scale", "log_weights")
NORMAL = torch.distributions.Normal


def operands_of(points, components, shape, dtype=torch.float32, parameterization="logvar", seed=0):
    """Points ``[*points, *shape]`` near components ``[components, *shape]``."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(size, generator=generator, dtype=torch.float64)

    return {
        "z": normal(*points, *shape).to(dtype),
        "mu": normal(components, *shape).to(dtype),
        "scale": raw_scale(parameterization, (components, *shape), generator, dtype),
        "log_weights": normal(components).to(dtype),
    }


def call(tensors, **options):
    return F.log_normal_mixture(*(tensors.get(name) for name in WANTED), **options)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("points", [(40,), (3, 14)])
@pytest.mark.usefixtures("backend")
def test_it_is_that_of_torch_distributions(points, weighted):
    tensors = operands_of(points, 7, (2, 3), torch.float64)
    if not weighted:
        del tensors["log_weights"]
    logits = tensors.get("log_weights", torch.zeros(7, dtype=torch.float64))
    components = torch.distributions.Independent(NORMAL(tensors["mu"], (0.5 * tensors["scale"]).exp()), 2)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=logits), components)
    mine = call(tensors, batch_dims=len(points))
    torch.testing.assert_close(mine, mixture.log_prob(tensors["z"]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", ["sample", "sum", "mean", "batchmean"])
@pytest.mark.usefixtures("kernels")
def test_a_mixture_of_one_is_a_gaussian(reduction):
    tensors = operands_of((30,), 1, (5,), torch.float64)
    mine = call(tensors, reduction=reduction)
    gaussian = F.log_normal(tensors["z"], tensors["mu"], tensors["scale"], reduction=reduction)
    torch.testing.assert_close(mine, gaussian, rtol=1e-13, atol=1e-13)


# points, components, shape
SIZES = (
    ((128,), 20, (10,)),
    ((33,), 300, (4,)),
    ((700,), 3, (7,)),
    ((5,), 40, (33,)),
    ((1,), 2, (1,)),
    ((9,), 9, (2, 3)),
)
AXES = {"size": SIZES, "form": FORMS, "dtype": FLOATS}
TRITON = {**AXES, "size": (((33,), 20, (10,)), ((5,), 70, (4,)), ((9,), 3, (2, 10)))}


@pytest.mark.parametrize(("backend", "case"), on_each(covering(2, AXES), covering(1, TRITON)), indirect=["backend"])
def test_three_ways(backend, case):
    parameterization, modifier = case["form"]
    few = 1 if backend == "triton" else 2
    draws = [operands_of(*case["size"], case["dtype"], parameterization, seed) for seed in range(few)]
    options = scale_options(parameterization, modifier)
    nearly_as_exact_as_torch(lambda tensors: call(tensors, **options), draws, WANTED, times=4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("kernels")
def test_any_layout(layout):
    tensors = operands_of((37,), 6, (5,))
    expected = evaluate(call, tensors, WANTED)
    placed = {name: LAYOUTS[layout](value) for name, value in tensors.items()}
    for name, value in evaluate(call, placed, WANTED).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("points", [(0,), (2, 0), (3, 0, 2)])
@pytest.mark.usefixtures("kernels")
def test_no_points(points):
    tensors = operands_of(points, 4, (3,))
    results = evaluate(lambda t: call(t, batch_dims=len(points)), tensors, WANTED)
    assert results["output 0"].shape == points
    assert not any(results[f"gradient of {name}"].any() for name in WANTED)


@pytest.mark.usefixtures("kernels")
def test_no_dimensions():
    tensors = operands_of((5,), 4, (0,))
    results = evaluate(call, tensors, WANTED)
    torch.testing.assert_close(results["output 0"], torch.zeros(5), rtol=0, atol=1e-6)
    torch.testing.assert_close(results["gradient of log_weights"], torch.zeros(4), rtol=0, atol=1e-6)


@pytest.mark.parametrize("components", [2, 3, 6, 7])
@pytest.mark.usefixtures("backend")
def test_an_average_over_no_dimensions_is_nan(components):
    """Found by fuzzing: the logarithm of the sum of six weights is not quite 0, and that over 0 was infinite."""
    z, mu = torch.zeros(4, 0), torch.zeros(components, 0)
    assert F.log_normal_mixture(z, mu, mu, reduction="mean").isnan()


@pytest.mark.usefixtures("kernels")
def test_components_without_weight_and_points_far_away():
    tensors = operands_of((20,), 5, (3,))
    tensors["log_weights"][2] = -math.inf
    tensors["z"][4] += 1e4
    results = evaluate(call, tensors, WANTED)
    exact = evaluate(call, {name: value.double() for name, value in tensors.items()}, WANTED)
    torch.testing.assert_close(results["output 0"].double(), exact["output 0"], rtol=1e-6, atol=1e-5)
    assert all(value.isfinite().all() for value in results.values())
    assert not results["gradient of mu"][2].any()
    assert results["gradient of log_weights"][2] == 0


@pytest.mark.parametrize("size", [((900,), 7, (3,)), ((600,), 700, (4,)), ((50,), 60, (300,))])
def test_the_same_bits_on_any_number_of_threads(size):
    tensors = operands_of(*size)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            results.append(evaluate(call, tensors, WANTED))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(map(torch.equal, results[0].values(), other.values()))


@pytest.mark.parametrize("reduction", ["sample", "mean"])
def test_gradcheck(reduction):
    tensors = operands_of((2, 4), 3, (2,), torch.float64)
    leaves = [tensors[name].requires_grad_() for name in WANTED]
    assert torch.autograd.gradcheck(lambda *t: F.log_normal_mixture(*t, reduction=reduction, batch_dims=2), leaves)


@given(shift=st.floats(-50, 50), components=st.integers(1, 9), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_weights_are_normalized_and_components_have_no_order(shift, components, seed):
    tensors = operands_of((11,), components, (3,), torch.float64, seed=seed)
    order = torch.randperm(components, generator=torch.Generator().manual_seed(seed))
    other = tensors | {name: tensors[name][order] for name in ("mu", "scale", "log_weights")}
    other["log_weights"] = other["log_weights"] + shift
    torch.testing.assert_close(call(tensors), call(other), rtol=1e-11, atol=1e-11)


def test_vmap_over_points_and_over_mixtures():
    tensors = operands_of((3, 8), 4, (2,))
    over_points = torch.vmap(lambda z: F.log_normal_mixture(z, tensors["mu"], tensors["scale"]))(tensors["z"])
    together = F.log_normal_mixture(tensors["z"], tensors["mu"], tensors["scale"], batch_dims=2)
    torch.testing.assert_close(over_points, together)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mu": torch.zeros(3, 4), "scale": torch.zeros(3, 4)}, "mu: got shape"),
        ({"mu": torch.zeros(0, 2), "scale": torch.zeros(0, 2)}, "mu: got shape"),
        ({"scale": torch.zeros(4, 2)}, "scale: got shape"),
        ({"log_weights": torch.zeros(4)}, "log_weights: got shape"),
        ({"log_weights": 1.0}, "log_weights: got float"),
        ({"reduction": "none"}, "reduction: got 'none'; takes one of"),
        ({"batch_dims": 3}, "batch_dims: got 3"),
        ({"parameterization": "precision"}, "parameterization: got 'precision'"),
    ],
)
@pytest.mark.usefixtures("backend")
def test_bad_input_is_refused_by_name(changes, message):
    arguments = operands_of((6,), 3, (2,)) | changes
    with pytest.raises((ValueError, TypeError), match=message):
        F.log_normal_mixture(**arguments)


@pytest.mark.usefixtures("kernels")
def test_half_the_gradients():
    """Only what is wanted is written: here not z, of which there are many."""
    tensors = operands_of((40,), 6, (3,), torch.float64)
    some = evaluate(call, tensors, ("mu", "log_weights"))
    with fastvae.use_backend("reference"):
        expected = evaluate(call, tensors, ("mu", "log_weights"))
    for name, value in expected.items():
        torch.testing.assert_close(some[name], value, rtol=1e-10, atol=1e-12)
