"""Forward-mode derivatives and Hessians: an error that names the reference backend, which has both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jvp

import fastvae
from tests.support.ops import ALL_OPS
from tests.support.oracle import outputs_of

# torch's own, the first time that a tangent is made.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

SHAPE = (2, 3)
Function = Callable[[Tensor], Tensor]


def scalar_of(name: str, key: str) -> tuple[Function, Tensor]:
    """The op as a scalar function of one operand, and that operand."""
    op = ALL_OPS[name]
    operands = op.operands(SHAPE, torch.float64)
    options = {"reduction": "mean"} if op.reduces else {}

    def function(value: Tensor) -> Tensor:
        return sum(output.square().sum() for output in outputs_of(op.call, {**operands, key: value}, **options))

    return function, operands[key]


@contextmanager
def refused(name: str) -> Iterator[None]:
    with pytest.raises(NotImplementedError, match=rf": got a {name} derivative.*use_backend\('reference'\)"):
        yield


def dual(function: Function, x: Tensor) -> Tensor | None:
    """The derivative of `function` along ones, by torch.autograd.forward_ad."""
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(x, torch.ones_like(x)))).tangent


CASES = [(name, key) for name, op in ALL_OPS.items() for key in op.wanted]
FORWARD: dict[str, Callable[[Function, Tensor], object]] = {
    "jvp": lambda function, x: jvp(function, (x,), (torch.ones_like(x),)),
    "jacfwd": lambda function, x: jacfwd(function)(x),
    "dual": dual,
    "dual of a leaf": lambda function, x: dual(function, x.clone().requires_grad_()),
    "dual without a graph": torch.no_grad()(dual),
    "hessian": lambda function, x: hessian(function)(x),
    "jvp of a gradient": lambda function, x: jvp(grad(function), (x,), (torch.ones_like(x),)),
}


@pytest.mark.parametrize(("name", "key"), CASES)
@pytest.mark.parametrize("way", FORWARD)
def test_forward_mode_names_the_reference(way: str, name: str, key: str) -> None:
    with refused("forward-mode"):
        FORWARD[way](*scalar_of(name, key))


REVERSE: dict[str, Callable[[Function, Tensor], object]] = {
    "a gradient of a gradient": lambda function, x: grad(lambda x: grad(function)(x).sum())(x),
    "torch.autograd.functional.hessian": lambda function, x: torch.autograd.functional.hessian(function, x),
    "torch.autograd.functional.hessian, vectorized": lambda function, x: torch.autograd.functional.hessian(
        function, x, vectorize=True
    ),
}


@pytest.mark.parametrize("name", ALL_OPS)
@pytest.mark.parametrize("way", REVERSE)
def test_a_second_derivative_names_the_reference(way: str, name: str) -> None:
    with refused("second"):
        REVERSE[way](*scalar_of(name, ALL_OPS[name].wanted[0]))


def along_the_upstream(function: Function, x: Tensor, reduce: Function) -> Tensor | None:
    """The tangent of a gradient whose upstream gradient alone has one."""
    leaf = x.clone().requires_grad_()
    value = function(leaf)
    with forward_ad.dual_level():
        upstream = forward_ad.make_dual(torch.tensor(2.0, dtype=x.dtype), torch.tensor(1.0, dtype=x.dtype))
        (gradient,) = torch.autograd.grad(reduce(value), leaf, upstream)
        return forward_ad.unpack_dual(gradient).tangent


@pytest.mark.parametrize("name", ALL_OPS)
def test_a_tangent_of_the_upstream_gradient_is_not_lost(name: str) -> None:
    """It enters the backward pass alone: nothing in the forward pass has one."""
    function, x = scalar_of(name, ALL_OPS[name].wanted[0])
    with refused("second"):
        along_the_upstream(function, x, lambda value: value)
    with refused("second"):
        factor = torch.tensor(2.0, dtype=x.dtype)
        jvp(lambda factor: grad(lambda x: factor * function(x))(x), (factor,), (factor,))


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss"])
def test_nor_where_the_gradient_was_written_early(loss: str) -> None:
    op = ALL_OPS[loss]
    operands = op.operands(SHAPE, torch.float64)
    with refused("second"):
        along_the_upstream(lambda x: op.call({**operands, "input": x}), operands["input"], lambda value: value)


@pytest.mark.parametrize(("name", "key"), CASES)
def test_the_reference_has_both(name: str, key: str) -> None:
    function, x = scalar_of(name, key)
    with fastvae.use_backend("reference"):
        _, along = jvp(function, (x,), (torch.ones_like(x),))
        slope, second = grad(function)(x), hessian(function)(x)
        expected = torch.autograd.functional.hessian(function, x)
        assert torch.equal(dual(function, x), along)
    torch.testing.assert_close(along, slope.sum())
    torch.testing.assert_close(second, expected)
