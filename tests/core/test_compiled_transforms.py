"""torch.func transforms of the ops inside a compiled function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

import fastvae
import fastvae.functional as F

ROWS, SHAPE = 4, (3, 10)


@pytest.mark.filterwarnings("ignore:<class 'torch.autograd.function.Function'> should not be")
@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace the builtin")
@pytest.mark.parametrize("transform", [grad, vmap, lambda loss: vmap(grad(loss))], ids=["grad", "vmap", "vmap(grad)"])
def test_inside_a_compiled_function(transform: Callable[..., Any]) -> None:
    """Dynamo would lose the gradient of the op: the transform stays uncompiled, or raises where it may not."""

    def loss(x: Tensor) -> Tensor:
        return F.mse_loss(x, x.detach() + 1, reduction="sum") + F.gaussian_kl(x, x, reduction="sum")

    x = torch.randn(ROWS, *SHAPE, requires_grad=True)
    expected = transform(loss)(x)
    (slope,) = torch.autograd.grad(expected.sum(), x) if transform is vmap else (None,)
    torch._dynamo.reset()
    found = torch.compile(transform(loss), backend="aot_eager")(x)
    torch.testing.assert_close(found, expected)
    if slope is not None:
        torch.testing.assert_close(torch.autograd.grad(found.sum(), x)[0], slope)
    torch._dynamo.reset()
    with pytest.raises(Exception, match=r"got torch.func inside torch.compile\(fullgraph=True\).*use_backend"):
        torch.compile(transform(loss), backend="aot_eager", fullgraph=True)(x)


def test_the_reference_compiles_inside_a_transform() -> None:
    def loss(x: Tensor) -> Tensor:
        return F.mse_loss(x, x.detach() + 1, reduction="sum")

    x = torch.randn(ROWS, *SHAPE)
    torch._dynamo.reset()
    with fastvae.use_backend("reference"):
        found = torch.compile(vmap(grad(loss)), backend="aot_eager")(x)
    torch.testing.assert_close(found, torch.full_like(x, -2.0))
