"""The importance-weighted bound: three ways, its gradient, and weights that vanish or overflow."""

import itertools
import math

import pytest
import torch

import fastvae.functional as F
from tests.support.backends import on_each
from tests.support.oracle import Reduced, evaluate, three_way

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def log_weights(shape, dtype=torch.float32, offset=-80.0):
    return (offset + 4 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).to(dtype)


SHAPES = [((7, 2100), 0), ((2100, 5), 1), ((2100, 5), -1), ((11, 6, 40), 1), ((1, 64), 0), ((64,), 0)]
# Few samples and many, of few and many elements: a program has some of both.
SHAPES_OF_PROGRAMS = [
    *[((5, 60, 8), dim) for dim in (0, 1, 2)],
    *[((5000,), 0), ((50, 128), 0), ((33, 130), -1), ((500, 2), 0), ((4100, 1), 0), ((1, 4100), 0), ((1, 4100), 1)],
]


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(SHAPES, FLOATS),
        [*itertools.product(SHAPES_OF_PROGRAMS, FLOATS[:1]), *itertools.product(SHAPES_OF_PROGRAMS[:2], FLOATS[1:])],
    ),
    indirect=["backend"],
)
def test_three_ways(backend, case):
    (shape, dim), dtype = case
    operands = {"log_w": log_weights(shape, dtype)}
    three_way(
        lambda t: F.importance_weighted_bound(t["log_w"], dim=dim), [operands], ("log_w",), Reduced(torch.Size(shape))
    )


@pytest.mark.parametrize("num_samples", [1, 2, 5000])
@pytest.mark.usefixtures("backend")
def test_equal_weights_give_themselves(num_samples):
    bound = F.importance_weighted_bound(torch.full((num_samples, 3), -123.25, dtype=torch.float64))
    torch.testing.assert_close(bound, torch.full((3,), -123.25, dtype=torch.float64), rtol=1e-14, atol=0)


@pytest.mark.usefixtures("kernels")
def test_gradient_is_the_normalized_weight():
    log_w = log_weights((6, 9), torch.float64).requires_grad_()
    F.importance_weighted_bound(log_w).sum().backward()
    torch.testing.assert_close(log_w.grad, torch.softmax(log_w.detach(), 0), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("offset", [-1e6, -200.0, 0.0, 200.0, 1e6])
@pytest.mark.usefixtures("kernels")
def test_no_overflow_at_any_offset(offset):
    spread = torch.tensor([[0.0], [-1.0], [-2.0]])
    expected = offset + math.log((1 + math.exp(-1) + math.exp(-2)) / 3)
    assert F.importance_weighted_bound(spread + offset).item() == pytest.approx(expected, rel=2e-7)


def test_more_samples_tighten_the_bound():
    log_w = log_weights((64, 500), torch.float64)
    bounds = [F.importance_weighted_bound(log_w[: 2**i]).mean().item() for i in range(7)]
    assert bounds == sorted(bounds)


INFINITY = math.inf


@pytest.mark.parametrize(
    "column",
    [
        (-INFINITY, 0.0, 1.0),
        (INFINITY, 0.0, 1.0),
        (math.nan, 0.0, 1.0),
        (1.0, math.nan, -INFINITY),
        (-3e38, 3e38, 0.0),
        (INFINITY, -INFINITY, INFINITY),
        (math.nan, INFINITY, -INFINITY),
        (1e30, -1e30, 0.0),
        (200.0, 200.0, 200.0),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("apart", [0, 9000])
@pytest.mark.usefixtures("kernels")
def test_special_weights_are_those_of_logsumexp(column, dtype, apart):
    """`apart` puts them into different chunks of the samples."""
    first, *rest = torch.tensor(column, dtype=dtype)[:, None].split(1)
    operands = {"log_w": torch.cat([first, torch.full((apart, 1), -INFINITY, dtype=dtype), *rest])}
    mine = evaluate(lambda t: F.importance_weighted_bound(t["log_w"]), operands, ("log_w",))
    wide = {"log_w": operands["log_w"].double()}
    theirs = evaluate(lambda t: torch.logsumexp(t["log_w"], 0) - math.log(3 + apart), wide, ("log_w",))
    for name, expected in theirs.items():
        torch.testing.assert_close(mine[name], expected.to(dtype), equal_nan=True, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_weights_that_are_all_zero_get_no_gradient(dtype):
    """torch's own logsumexp gives NaN here, which would end a training run for one impossible sample."""
    log_w = torch.full((3, 2), -INFINITY, dtype=dtype)
    log_w[:, 1] = 0
    results = evaluate(lambda t: F.importance_weighted_bound(t["log_w"]), {"log_w": log_w}, ("log_w",))
    assert results["output 0"].tolist() == [-INFINITY, 0]
    torch.testing.assert_close(results["gradient of log_w"], torch.tensor([[0, 1 / 3]] * 3, dtype=dtype))


@pytest.mark.parametrize("offset", [0.0, -700.0, 5e4])
@pytest.mark.usefixtures("kernels")
def test_normalized_weights_sum_to_one_at_any_offset(offset):
    """To the rounding of the weights, not to that of a bound of the size of the offset."""
    log_w = (log_weights((6, 900), offset=0.0) + offset).requires_grad_()
    F.importance_weighted_bound(log_w).sum().backward()
    assert (log_w.grad.sum(0) - 1).abs().max() <= 6 * torch.finfo(torch.float32).eps
