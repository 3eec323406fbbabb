"""torch.compile(fullgraph=True) on the device: every op, and a VAE that draws the noise of eager mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import fastvae.functional as F
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate

from .conftest import DRY_RUN
from .models import batch, vae

# What torch warns itself of.
pytestmark = pytest.mark.filterwarnings("ignore")
BACKEND = "aot_eager" if DRY_RUN else "inductor"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch._dynamo.reset()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, fullgraph=True, backend=BACKEND)


@pytest.mark.parametrize("name", ALL_OPS)
def test_compiled_equals_eager(device: str, name: str) -> None:
    op = ALL_OPS[name]
    operands = {key: value.to(device) for key, value in op.operands((6, 37), torch.float32).items()}
    options = {"reduction": "batchmean"} if op.reduces else {}
    found = evaluate(compiled(op.call), operands, op.wanted, **options)
    for key, value in evaluate(op.call, operands, op.wanted, **options).items():
        # A gradient written in the forward pass rounds its factor elsewhere than one of backward.
        torch.testing.assert_close(found[key], value, rtol=3e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_compiled_noise_is_eager_noise(device: str, dtype: torch.dtype) -> None:
    mu = torch.zeros(33, 20, device=device, dtype=dtype)

    def draw() -> torch.Tensor:
        return F.reparameterize(mu, mu)

    found = []
    for function in (draw, compiled(draw)):
        torch.manual_seed(3)
        found.append(torch.stack([function() for _ in range(3)]))
    assert torch.equal(*found)
    assert not torch.equal(found[0][0], found[0][1])


def test_a_compiled_vae_trains_as_an_eager_one(device: str) -> None:
    x, results = batch(device), []
    for wrap in (lambda model: model, compiled):
        model = vae(device)
        loss_of = wrap(model)
        torch.manual_seed(5)
        losses = []
        for _ in range(3):
            loss = loss_of(x).loss
            loss.backward()
            losses.append(loss.detach())
        generator = torch.cuda.get_rng_state() if device == "cuda" else torch.get_rng_state()
        results.append((torch.stack(losses), [parameter.grad for parameter in model.parameters()], generator))
    (losses, gradients, generator), (found_losses, found_gradients, found_generator) = results
    assert losses.unique().numel() == 3
    torch.testing.assert_close(found_losses, losses, rtol=1e-5, atol=0)
    torch.testing.assert_close(found_gradients, gradients, rtol=1e-4, atol=1e-5)
    assert torch.equal(found_generator, generator)
