"""The importance-weighted bound of the Triton kernels against the reference, forward and backward."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import fastvae.functional as F
from fastvae import reference
from tests.support.interpreter import LAYOUTS, check, interpreted, laid_out, normal, outputs_and_gradients


def log_weights(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """As a VAE on images has them: far from 0, a few nats apart."""
    return (normal(*shape, dtype=torch.float64).detach() * 3 - 90).to(dtype).requires_grad_()


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_every_dimension_and_dtype(dim: int, dtype: torch.dtype) -> None:
    check(lambda w: F.importance_weighted_bound(w, dim=dim), log_weights(5, 3, 8, dtype=dtype))


@pytest.mark.parametrize(
    "shape", [(1,), (7,), (5000,), (1, 1), (1, 9), (50, 128), (33, 130), (500, 2), (4100, 1), (1, 4100)]
)
@pytest.mark.parametrize("dim", [0, -1])
def test_few_and_many_samples(shape: tuple[int, ...], dim: int) -> None:
    check(lambda w: F.importance_weighted_bound(w, dim=dim), log_weights(*shape))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dim", [0, 1, 3])
def test_every_layout(layout: str, dim: int) -> None:
    check(lambda w: F.importance_weighted_bound(w, dim=dim), laid_out(log_weights(2, 4, 3, 8), layout).requires_grad_())


@pytest.mark.parametrize("upstream", ["stride 0", "sliced", "transposed"])
def test_upstream_gradients_of_any_stride(upstream: str) -> None:
    gradient = {
        "stride 0": torch.ones(()).expand(3, 8),
        "sliced": normal(3, 16, grad=False)[:, ::2],
        "transposed": normal(8, 3, grad=False).t(),
    }[upstream]
    check(lambda w: (F.importance_weighted_bound(w) * gradient).sum(), log_weights(5, 3, 8), scale=1.0)


@pytest.mark.parametrize(
    "row",
    [
        (-math.inf, 0.0, 1.0),
        (-math.inf, -math.inf, -math.inf),
        (math.inf, 0.0, 1.0),
        (math.inf, -math.inf, math.inf),
        (math.nan, 0.0, 1.0),
        (math.nan, math.inf, -math.inf),
        (1e30, -1e30, 0.0),
        (200.0, 200.0, 200.0),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_special_points_are_those_of_the_reference(row: tuple[float, ...], many: bool) -> None:
    """`many` puts the special points into different chunks of the samples."""
    weights = torch.tensor(row)
    if many:
        weights = torch.cat([weights[:1], torch.full((9000,), -math.inf), weights[1:]])
    weights.requires_grad_()
    with interpreted():
        fused = outputs_and_gradients(F.importance_weighted_bound, [weights])
    expected = outputs_and_gradients(reference.importance_weighted_bound, [weights.detach().double().requires_grad_()])
    for value, other in zip(fused, expected, strict=True):
        torch.testing.assert_close(value, other.float(), rtol=1e-6, atol=2e-38, equal_nan=True)


def test_no_rows() -> None:
    weights = torch.empty(5, 0, requires_grad=True)
    with interpreted():
        bound = F.importance_weighted_bound(weights)
        bound.sum().backward()
    assert bound.shape == (0,)
    assert weights.grad.shape == (5, 0)
