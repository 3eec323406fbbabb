"""No op waits for the device: a read on the host, hidden anywhere, would raise here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

import fastvae.functional as F
from tests.support.ops import ALL_OPS
from tests.support.oracle import leaves, outputs_of

from .models import batch, step_of, vae


@contextmanager
def never_waiting() -> Iterator[None]:
    with warnings.catch_warnings():
        # torch says that the mode is a prototype.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_mode_sees_a_read(gpu: str) -> None:
    value = torch.ones((), device=gpu)
    with never_waiting(), pytest.raises(RuntimeError, match="synchroniz"):
        value.item()


@pytest.mark.parametrize("reduction", ["none", "sample", "batchmean"])
@pytest.mark.parametrize("name", ALL_OPS)
def test_neither_pass_waits(gpu: str, name: str, reduction: str) -> None:
    op = ALL_OPS[name]
    if not op.reduces and reduction != "none":
        pytest.skip("reduces nothing")
    operands = {key: value.to(gpu) for key, value in op.operands((37, 61), torch.float32).items()}
    options = {"reduction": reduction} if op.reduces else {}
    with never_waiting():
        tensors = leaves(operands, op.wanted)
        outputs = outputs_of(op.call, tensors, **options)
        # Other than 1, so that a gradient of the forward pass is scaled.
        upstreams = [torch.full_like(output, 2.0) for output in outputs]
        torch.autograd.grad(outputs, [tensors[key] for key in op.wanted], upstreams)


def test_drawing_a_seed_does_not_wait(gpu: str) -> None:
    mu = torch.zeros(5, 20, device=gpu, requires_grad=True)
    with never_waiting():
        z, kl = F.reparameterize_kl(mu, mu)
        torch.autograd.grad(z.sum() + kl, mu)


def test_a_training_step_does_not_wait(gpu: str) -> None:
    model, x = vae(gpu), batch(gpu)
    step = step_of(model, torch.optim.Adam(model.parameters(), fused=True), x)
    # The optimizer makes its state in the first step.
    step()
    with never_waiting():
        step()
