"""The Gaussian log-density of the Triton kernels against the reference, forward and backward."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

import fastvae.functional as F
from fastvae import reference
from tests.support.interpreter import LAYOUTS, check, interpreted, laid_out, normal, outputs_and_gradients
from tests.triton.test_reparameterize_kl import FORMS, REDUCTIONS, name, raw_scale


@pytest.mark.parametrize("clamp", [None, (0.4, 0.9)])
@pytest.mark.parametrize("form", FORMS, ids=name)
def test_every_form(form: dict[str, Any], clamp: tuple[float, float] | None) -> None:
    scale = raw_scale(form["parameterization"], 3, 4, 6, seed=2)
    check(lambda *t: F.log_normal(*t, clamp=clamp, **form), normal(3, 4, 6), normal(3, 4, 6, seed=1), scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("standard", [False, True])
def test_every_dtype_and_reduction(dtype: torch.dtype, reduction: str, standard: bool) -> None:
    tensors = [normal(3, 4, 5, dtype=dtype, seed=seed) for seed in range(1 if standard else 3)]
    check(lambda *t: F.log_normal(*t, reduction=reduction, batch_dims=2), *tensors)


@pytest.mark.parametrize("mu", [(), (5,), (4, 1), (3, 4, 5)])
@pytest.mark.parametrize("scale", [(), (5,), (4, 1), (3, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradients_of_broadcast_mu_and_scale_are_sums(
    mu: tuple[int, ...], scale: tuple[int, ...], dtype: torch.dtype
) -> None:
    z, operands = normal(3, 4, 5, grad=False), (normal(*mu, dtype=dtype, seed=1), normal(*scale, dtype=dtype, seed=2))
    full = [part.detach().float().expand(z.shape).clone().requires_grad_() for part in operands]
    with interpreted():
        value, expanded = F.log_normal(z, *operands), F.log_normal(z, *full)
        summed = torch.autograd.grad(value.sum(), operands)
        terms = torch.autograd.grad(expanded.sum(), full)
    assert torch.equal(value, expanded)
    for gradient, term in zip(summed, terms, strict=True):
        rounding = torch.finfo(dtype).eps * gradient.double().abs()
        assert ((gradient.double() - term.double().sum_to_size(gradient.shape)).abs() <= rounding).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reduction", ["none", "sample", "sum"])
def test_every_layout(layout: str, reduction: str) -> None:
    tensors = [laid_out(normal(2, 4, 3, 8, seed=seed), layout).requires_grad_() for seed in range(3)]
    check(lambda *t: F.log_normal(*t, reduction=reduction), *tensors)


@pytest.mark.parametrize("shape", [(1,), (2, 9001), (3, 4099), (4097, 1), (20, 500)])
@pytest.mark.parametrize("reduction", ["sample", "mean"])
def test_shapes_below_at_and_above_a_block(shape: tuple[int, ...], reduction: str) -> None:
    check(lambda *t: F.log_normal(*t, reduction=reduction), *(normal(*shape, seed=seed) for seed in range(3)))


@pytest.mark.parametrize("wanted", list(itertools.product([False, True], repeat=3))[1:])
def test_every_subset_of_gradients(wanted: tuple[bool, ...]) -> None:
    tensors = [normal(3, 4), normal(4, seed=1), normal(4, seed=2)]
    tensors = [tensor.detach().requires_grad_(want) for tensor, want in zip(tensors, wanted, strict=True)]
    check(F.log_normal, *tensors)


@pytest.mark.parametrize("z", [0.0, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("scale", [-80.0, 0.0, 80.0, math.nan])
def test_special_points_are_those_of_the_reference(z: float, scale: float) -> None:
    values = [torch.full((1,), value, requires_grad=True) for value in (z, 1.0, scale)]
    with interpreted():
        fused = outputs_and_gradients(F.log_normal, values)
    expected = outputs_and_gradients(reference.log_normal, values)
    for value, other in zip(fused, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-6, atol=2e-38, equal_nan=True)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing(shape: tuple[int, ...], reduction: str) -> None:
    tensors = [torch.empty(shape, requires_grad=True), *(torch.zeros((), requires_grad=True) for _ in range(2))]
    with interpreted():
        fused = outputs_and_gradients(lambda *t: F.log_normal(*t, reduction=reduction), tensors)
    expected = outputs_and_gradients(lambda *t: reference.log_normal(*t, reduction=reduction), tensors)
    for value, other in zip(fused, expected, strict=True):
        torch.testing.assert_close(value, other, equal_nan=True)
