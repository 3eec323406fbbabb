"""Tensors on `meta`: shapes, dtypes and strides of outputs and gradients, without a computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastvae
import fastvae.functional as F
from tests.support.layouts import LAYOUTS
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate
from tests.support.posteriors import FLOATS

SHAPE = (3, 4, 10)
REDUCTIONS = ["none", "sample", "sum", "mean", "batchmean"]
CALLS = [(name, {"reduction": each}) for name, op in ALL_OPS.items() if op.reduces for each in REDUCTIONS] + [
    (name, {}) for name, op in ALL_OPS.items() if not op.reduces
]


def on_meta(value: Tensor) -> Tensor:
    """The same strides, without memory."""
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def looks(value: Tensor) -> tuple[Any, ...]:
    return value.shape, value.stride(), value.dtype


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("name", "options"), CALLS)
def test_every_op_and_its_backward(name: str, options: dict[str, str], dtype: torch.dtype) -> None:
    op = ALL_OPS[name]
    operands = op.operands(SHAPE, dtype)
    real = evaluate(op.call, operands, op.wanted, **options)
    found = evaluate(op.call, {key: on_meta(value) for key, value in operands.items()}, op.wanted, **options)
    assert {value.device.type for value in found.values()} == {"meta"}
    assert {key: looks(value) for key, value in found.items()} == {key: looks(value) for key, value in real.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ALL_OPS)
def test_every_layout(name: str, layout: str) -> None:
    op = ALL_OPS[name]
    operands = {key: LAYOUTS[layout](value) for key, value in op.operands(SHAPE, torch.float32).items()}
    real = evaluate(op.call, operands, op.wanted)
    found = evaluate(op.call, {key: on_meta(value) for key, value in operands.items()}, op.wanted)
    assert {key: looks(value) for key, value in found.items()} == {key: looks(value) for key, value in real.items()}


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("source", ["drawn", "generator", "int", "tensor", "eps"])
@pytest.mark.parametrize("num_samples", [None, 5])
def test_every_source_of_noise(source: str, num_samples: int | None, backend: str) -> None:
    """There is no generator for meta: any is taken, as by torch.randn."""
    shape = SHAPE if num_samples is None else (num_samples, *SHAPE)
    options: dict[str, Any] = {
        "drawn": {},
        "generator": {"generator": torch.Generator()},
        "int": {"seed": 3},
        "tensor": {"seed": torch.zeros(1, dtype=torch.int64, device="meta")},
        "eps": {"eps": torch.zeros(shape, device="meta")},
    }[source]
    mu = torch.zeros(SHAPE, device="meta", requires_grad=True)
    with fastvae.use_backend(backend):
        z = F.reparameterize(mu, mu, num_samples=num_samples, **options)
    assert z.shape == shape
    assert torch.autograd.grad(z.sum(), mu)[0].shape == SHAPE


def test_meta_and_memory_do_not_mix() -> None:
    with pytest.raises(ValueError, match="got device meta; takes the device of mu, cpu"):
        F.gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 3, device="meta"))


def test_the_loss_everyone_copies() -> None:
    x, mu = torch.zeros(3, 8, device="meta"), torch.zeros(3, 2, device="meta", requires_grad=True)
    loss = F.vae_loss(x, x, mu, mu)
    assert loss.shape == ()
    assert torch.autograd.grad(loss, mu)[0].shape == (3, 2)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "gaussian": lambda: fastvae.VAE(nn.Linear(8, 6), nn.Linear(3, 8), likelihood="gaussian_learned"),
    "bernoulli": lambda: fastvae.BetaVAE(nn.Linear(8, 6), nn.Linear(3, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_steps(name: str) -> None:
    with torch.device("meta"):
        model = MODELS[name]()
        output = model(torch.zeros(5, 8))
    output.loss.backward()
    assert output.z.shape == (5, 3)
    assert {parameter.grad.device.type for parameter in model.parameters()} == {"meta"}
