"""Reconstruction losses of the Triton kernels against the reference and against torch, forward and backward."""

from __future__ import annotations

import importlib
import itertools
import math

import pytest
import torch
import torch.nn.functional as torch_functional
from torch import Tensor

import fastvae.functional as F
from fastvae import _ops, reference
from fastvae._options import ReconstructionOptions
from tests.support.interpreter import LAYOUTS, check, interpreted, laid_out, normal, outputs_and_gradients, uniform

LOSSES = ("binary_cross_entropy_with_logits", "binary_cross_entropy", "mse_loss", "l1_loss", "gaussian_nll")
INPLACE = ("binary_cross_entropy_with_logits", "mse_loss", "l1_loss")
REDUCTIONS = ("none", "sample", "sum", "mean", "batchmean")
SCALARS = REDUCTIONS[2:]


def operands(loss: str, *shape: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """input, target and, where the loss has one, log_scale."""
    make = uniform if loss == "binary_cross_entropy" else normal
    input, target = make(*shape, dtype=dtype), uniform(*shape, dtype=dtype, seed=1, grad=False)
    if loss == "binary_cross_entropy":
        input = (0.98 * input.detach() + 0.01).requires_grad_()
    return [input, target, *([normal(*shape[1:], dtype=dtype, seed=2)] if loss == "gaussian_nll" else [])]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_every_loss_reduction_and_dtype(loss: str, reduction: str, dtype: torch.dtype) -> None:
    check(lambda *t: getattr(F, loss)(*t, reduction=reduction), *operands(loss, 3, 4, 5, dtype=dtype))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weight", ["sample", "element", "feature", "mask", "one"])
@pytest.mark.parametrize("reduction", ["sample", "sum"])
def test_weights_broadcast(loss: str, weight: str, reduction: str) -> None:
    shapes = {"sample": (3, 1, 1), "element": (3, 4, 8), "feature": (8,), "mask": (3, 1, 8), "one": ()}
    factor = uniform(*shapes[weight], seed=7, grad=False)
    if weight == "mask":
        factor = factor > 0.5

    def f(*t: Tensor) -> Tensor:
        return getattr(F, loss)(*t, weight=factor, reduction=reduction, batch_dims=2)

    check(f, *operands(loss, 3, 4, 8))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("target", [torch.float64, torch.bfloat16, torch.float16, torch.uint8, torch.bool])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_targets_of_another_dtype(loss: str, target: torch.dtype, dtype: torch.dtype) -> None:
    input, values, *rest = operands(loss, 3, 21, dtype=dtype)
    values = (values.float() * 255).to(torch.uint8) if target == torch.uint8 else values.float()
    values = values > 0.5 if target == torch.bool else values.to(target)
    check(lambda *t: getattr(F, loss)(t[0], values, *t[1:], reduction="sum"), input, *rest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_byte_is_read_as_its_correctly_rounded_fraction(dtype: torch.dtype) -> None:
    bytes_ = torch.arange(256, dtype=torch.uint8)
    with interpreted():
        values = F.l1_loss(torch.zeros(256, dtype=dtype), bytes_, reduction="none")
    assert torch.equal(values, bytes_.to(dtype) / 255)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["none", "sample", "mean"])
def test_the_target_may_need_a_gradient(loss: str, reduction: str) -> None:
    input, target, *rest = operands(loss, 3, 4, 5)
    check(lambda *t: getattr(F, loss)(*t, reduction=reduction), input, target.requires_grad_(), *rest)


@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (6,), (2, 4, 3, 6)])
@pytest.mark.parametrize("reduction", ["none", "sample", "batchmean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_scale_is_global_or_of_a_channel_or_of_an_element(
    shape: tuple[int, ...], reduction: str, dtype: torch.dtype
) -> None:
    input, target = normal(2, 4, 3, 6, dtype=dtype), normal(2, 4, 3, 6, dtype=dtype, seed=1)
    check(
        lambda *t: F.gaussian_nll(*t, full=True, reduction=reduction),
        input, target, normal(*shape, dtype=dtype, seed=2),
    )  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reduction", ["none", "sample", "mean"])
def test_every_layout(loss: str, layout: str, reduction: str) -> None:
    input, target, *rest = (laid_out(t, layout) if t.dim() == 4 else t for t in operands(loss, 2, 4, 3, 8))
    check(lambda *t: getattr(F, loss)(*t, reduction=reduction), input.requires_grad_(), target, *rest)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_k_samples_against_one_expanded_batch(reduction: str) -> None:
    target = uniform(3, 8, seed=1, grad=False).expand(4, 3, 8)

    def f(input: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(input, target.to(input), reduction=reduction, batch_dims=2)

    check(f, normal(4, 3, 8))


@pytest.mark.parametrize("shape", [(1,), (5,), (1, 1), (2, 9001), (2, 8192), (3, 4099), (4097, 1), (20, 500)])
@pytest.mark.parametrize("reduction", ["sample", "mean"])
def test_shapes_below_at_and_above_a_block(shape: tuple[int, ...], reduction: str) -> None:
    check(lambda *t: F.mse_loss(*t, reduction=reduction), *operands("mse_loss", *shape))


SPECIAL = (-math.inf, -1e30, -104.0, -88.0, -17.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, 17.0, 88.0, 104.0, 1e30, math.inf,
           math.nan)  # fmt: skip
PROBABILITIES = (0.0, 2e-38, 1e-20, 1e-7, 0.3999, 0.4001, 0.5, 0.9, 1.0 - 2**-24, 1.0)


@pytest.mark.parametrize(
    ("loss", "values"),
    [(loss, PROBABILITIES if loss == "binary_cross_entropy" else SPECIAL) for loss in LOSSES[:4]],
)
@pytest.mark.parametrize("target_grad", [False, True])
def test_special_points_are_torchs(loss: str, values: tuple[float, ...], target_grad: bool) -> None:
    pairs = torch.tensor(list(itertools.product(values, (0.0, 0.25, 1.0))))
    inputs = [pairs[:, 0].clone().requires_grad_(), pairs[:, 1].clone().requires_grad_(target_grad)]
    with interpreted():
        fused = outputs_and_gradients(lambda *t: getattr(F, loss)(*t, reduction="none"), inputs, scale=1.0)
    expected = outputs_and_gradients(lambda *t: getattr(torch_functional, loss)(*t, reduction="none"), inputs, 1.0)
    if loss == "l1_loss":
        # torch's sign of NaN is 0; here NaN in is NaN out.
        nan = inputs[0].detach().isnan()
        expected[1:] = [torch.where(nan, torch.nan, gradient) for gradient in expected[1:]]
    for value, other in zip(fused, expected, strict=True):
        # An exponential below 2^-125 is 0 here and may be that, or denormal, in torch.
        torch.testing.assert_close(value, other, rtol=5e-7, atol=3e-38, equal_nan=True)


def test_a_probability_outside_the_unit_interval_is_nan() -> None:
    input = torch.tensor([-1e-6, 1.0 + 2e-7, -math.inf, math.inf, math.nan, 0.5], requires_grad=True)
    with interpreted():
        loss = F.binary_cross_entropy(input, torch.tensor([0.0, 1.0, 1.0, 0.0, 0.5, 0.5]), reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), input)
    assert loss.isnan().tolist() == gradient.isnan().tolist() == [True] * 5 + [False]


@pytest.mark.parametrize("loss", LOSSES[:4])
@pytest.mark.parametrize("reduction", SCALARS)
def test_the_gradient_of_the_forward_pass_is_exact_for_an_upstream_of_one(loss: str, reduction: str) -> None:
    input, target = operands(loss, 3, 7)
    with interpreted():
        value = getattr(F, loss)(input, target, reduction=reduction)
        (early,) = torch.autograd.grad(value, input, retain_graph=True)
        (again,) = torch.autograd.grad(value, input, retain_graph=True)
        value = getattr(F, loss)(input, target, reduction=reduction)
        (scaled,) = torch.autograd.grad(-2 * value, input)
    assert torch.equal(early, again)
    assert torch.equal(scaled, -2 * early)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "expanded"])
def test_scale_gradient(dtype: torch.dtype, layout: str) -> None:
    grad = laid_out(normal(2, 4, 3, 8, dtype=dtype), layout)
    before = grad.clone()
    with interpreted():
        _ops.scale_gradient(grad, torch.tensor(1.0, dtype=torch.float64))
        assert torch.equal(grad, before)
        _ops.scale_gradient(grad, torch.tensor(-0.5))
    assert torch.equal(grad, -0.5 * before)


def test_scale_gradient_with_fewer_programs_than_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    # The module, which the op of the same name hides.
    monkeypatch.setattr(importlib.import_module("fastvae._triton.reconstruction"), "_SCALE_PROGRAMS", 2)
    grad = normal(5, 4099, grad=False)
    before = grad.clone()
    with interpreted():
        _ops.scale_gradient(grad, torch.tensor(3.0))
    assert torch.equal(grad, 3 * before)


@pytest.mark.parametrize("loss", INPLACE)
@pytest.mark.parametrize("reduction", SCALARS)
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "expanded"])
def test_inplace_writes_the_same_gradient_over_the_input(loss: str, reduction: str, layout: str) -> None:
    target = uniform(2, 4, 3, 8, seed=1, grad=False)
    arguments = (target, None, None, ReconstructionOptions(loss, False, reduction, 1))
    input = laid_out(normal(2, 4, 3, 8), layout)
    with interpreted():
        expected = _ops.reconstruction(input, *arguments, True, (True, False))
        value, samples = _ops.reconstruction_inplace(input, *arguments, True)
    assert torch.equal(value, expected[0])
    assert torch.equal(samples, expected[1])
    assert torch.equal(input, expected[2])


@pytest.mark.parametrize("loss", INPLACE)
def test_inplace_through_autograd(loss: str) -> None:
    leaf, target = operands(loss, 3, 7)
    with interpreted():
        (expected,) = torch.autograd.grad(3 * getattr(F, loss)(leaf * 2, target), leaf)
        input = leaf * 2
        pointer = input.data_ptr()
        (gradient,) = torch.autograd.grad(3 * getattr(F, loss)(input, target, inplace=True), leaf)
    assert torch.equal(gradient, expected)
    assert torch.equal(input.detach() * 2, expected)
    assert input.data_ptr() == pointer


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("length", [8, 9001])
def test_per_sample_sums_beside_any_reduction(reduction: str, grad: bool, length: int) -> None:
    input, target = (t.detach() for t in operands("mse_loss", 3, length))
    arguments = (input, target, None, None, ReconstructionOptions("mse_loss", False, reduction, 1))
    with interpreted():
        loss, samples, gradient, _ = _ops.reconstruction(*arguments, True, (grad, False))
        alone, absent, *_ = _ops.reconstruction(*arguments, False, (grad, False))
        expected = F.mse_loss(input, target, reduction="sample")
    torch.testing.assert_close(loss, alone, rtol=3e-7, atol=0)
    assert torch.equal(loss if reduction == "sample" else samples, expected)
    assert (samples is None) == (reduction == "sample")
    assert absent is None
    assert (gradient is None) == (not grad)


@pytest.mark.parametrize("wanted", list(itertools.product([False, True], repeat=3))[1:])
def test_every_subset_of_gradients(wanted: tuple[bool, ...]) -> None:
    tensors = [normal(3, 4), normal(3, 4, seed=1), normal(4, seed=2)]
    tensors = [tensor.detach().requires_grad_(want) for tensor, want in zip(tensors, wanted, strict=True)]
    check(F.gaussian_nll, *tensors)


@pytest.mark.parametrize("shape", [(), (1,), (5, 1, 1), (2, 5, 33, 31)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", SCALARS)
def test_gradients_written_in_forward_are_those_of_backward(
    shape: tuple[int, ...], weighted: bool, reduction: str
) -> None:
    input, target = normal(2, 5, 33, 31, grad=False), normal(2, 5, 33, 31, seed=1, grad=False)
    weight = uniform(2, 1, 1, 1, seed=2, grad=False) if weighted else None
    options = ReconstructionOptions("gaussian_nll", True, reduction, 1)
    arguments = (input, target, weight, normal(*shape, seed=3, grad=False), options)
    with interpreted():
        early = _ops.reconstruction(*arguments, False, (True, True))[2:]
        late = _ops.reconstruction_backward(torch.ones(()), *arguments, (True, False, True))[::2]
    for value, other in zip(early, late, strict=True):
        torch.testing.assert_close(value, other, rtol=3e-7, atol=0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing(loss: str, shape: tuple[int, ...], reduction: str) -> None:
    input, target = torch.empty(shape, requires_grad=True), torch.empty(shape)
    rest = [torch.zeros((), requires_grad=True)] if loss == "gaussian_nll" else []
    with interpreted():
        fused = outputs_and_gradients(lambda *t: getattr(F, loss)(*t, reduction=reduction), [input, target, *rest])
    expected = outputs_and_gradients(
        lambda *t: getattr(reference, loss)(*t, reduction=reduction), [input, target, *rest]
    )
    for value, other in zip(fused, expected, strict=True):
        torch.testing.assert_close(value, other, equal_nan=True)
