"""Gradients against finite differences, and what a second derivative is answered with."""

import pytest
import torch

import fastvae
import fastvae.functional as F
from tests.core.test_autograd import SHAPE, gradients, loss_of, options_of
from tests.support.ops import ALL_OPS
from tests.support.oracle import leaves, outputs_of
from tests.support.posteriors import FORMS, posterior, prior_of, scale_options


@pytest.mark.parametrize("name", ALL_OPS)
def test_a_second_derivative_raises_and_names_the_reference(name):
    op = ALL_OPS[name]
    tensors = leaves(op.operands(SHAPE, torch.float32), op.wanted)
    first = torch.autograd.grad(loss_of(name, tensors), [tensors[key] for key in op.wanted], create_graph=True)
    for gradient, expected in zip(first, (g for g in gradients(name).values() if g is not None), strict=True):
        torch.testing.assert_close(gradient.detach(), expected)
    with pytest.raises(RuntimeError, match=r"use_backend\('reference'\)"):
        sum(gradient.square().sum() for gradient in first).backward()


@pytest.mark.parametrize("name", ALL_OPS)
def test_a_gradient_penalty_raises_where_the_loss_is_the_only_source(name):
    """One operand that requires grad, a scalar loss: the gradient was written in the forward pass."""
    op = ALL_OPS[name]
    tensors = leaves(op.operands(SHAPE, torch.float32), op.wanted[:1])
    (first,) = torch.autograd.grad(loss_of(name, tensors), tensors[op.wanted[0]], create_graph=True)
    with pytest.raises(RuntimeError, match=r"use_backend\('reference'\)"):
        torch.autograd.grad(first.square().sum(), tensors[op.wanted[0]])


@pytest.mark.parametrize("name", ALL_OPS)
def test_the_reference_differentiates_twice(name):
    op = ALL_OPS[name]
    tensors = leaves(op.operands((2, 3), torch.float64), op.wanted)
    with fastvae.use_backend("reference"):
        value = sum(output.exp().sum() for output in outputs_of(op.call, tensors, **options_of(name)))
    first = torch.autograd.grad(value, [tensors[key] for key in op.wanted], create_graph=True)
    second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), tensors[op.wanted[0]])
    assert second[0].abs().sum() > 0


def differentiable_in(name):
    """The op as a function of its differentiable operands, positional, in float64."""
    op = ALL_OPS[name]
    operands = op.operands((3, 4), torch.float64)
    sources = tuple(operands[key].clone().requires_grad_() for key in op.wanted)

    def function(*values):
        return op.call({**operands, **dict(zip(op.wanted, values, strict=True))}, **options_of(name, "sample"))

    return function, sources


@pytest.mark.parametrize("name", ALL_OPS)
def test_gradcheck(name):
    assert torch.autograd.gradcheck(*differentiable_in(name))


@pytest.mark.parametrize(("parameterization", "modifier"), FORMS)
@pytest.mark.parametrize("prior", ["none", "row"])
def test_gradcheck_of_every_scale(parameterization, modifier, prior):
    tensors = posterior(parameterization, (3, 4), torch.float64, prior)
    sources = tuple(value.requires_grad_() for value in tensors.values())

    def function(*values):
        named = dict(zip(tensors, values, strict=True))
        options = scale_options(parameterization, modifier)
        z, kl = F.reparameterize_kl(named["mu"], named["scale"], prior_of(named), seed=1, num_samples=2, **options)
        return z, kl, F.log_normal(named["mu"] + 1, named["mu"] * 0.5, named["scale"], **options)

    assert torch.autograd.gradcheck(function, sources)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1), (3, 4)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradcheck_of_a_learned_scale(shape, weighted):
    operands = ALL_OPS["gaussian_nll"].operands((3, 4), torch.float64)
    log_scale = torch.full(shape, 0.3, dtype=torch.float64, requires_grad=True)
    weight = operands["weight"][:, :1] if weighted else None
    sources = operands["input"].requires_grad_(), operands["target"].requires_grad_(), log_scale
    assert torch.autograd.gradcheck(lambda x, t, s: F.gaussian_nll(x, t, s, weight=weight, full=True), sources)
