"""CUDA graphs: a replay draws fresh noise, the noise that an eager call would draw from the same generator state."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fastvae.functional as F

from .models import batch, step_of, vae

REPLAYS = 3


def captured(call: Callable[[], Any]) -> tuple[torch.cuda.CUDAGraph, Any]:
    """A graph of one call, and the results that each replay writes anew."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()
    return graph, results


def sample(device: str, length: int) -> Callable[[], tuple[Tensor, Tensor, Tensor]]:
    """z, the KL and the gradient of the scale, in which backward draws the noise again."""
    mu = torch.zeros(33, length, device=device)
    scale = torch.ones(33, length, device=device, requires_grad=True)

    def call() -> tuple[Tensor, Tensor, Tensor]:
        z, kl = F.reparameterize_kl(mu, scale, parameterization="std")
        (gradient,) = torch.autograd.grad((z, kl), scale, (torch.ones_like(z), torch.zeros_like(kl)))
        return z.detach(), kl.detach(), gradient

    return call


@pytest.mark.parametrize("length", [20, 21])
def test_replays_draw_what_eager_calls_draw(gpu: str, length: int) -> None:
    call = sample(gpu, length)
    graph, results = captured(call)
    torch.cuda.manual_seed(7)
    eager = [call() for _ in range(REPLAYS)]
    state = torch.cuda.get_rng_state()
    torch.cuda.manual_seed(7)
    replayed = []
    for _ in range(REPLAYS):
        graph.replay()
        replayed.append([value.clone() for value in results])
    for mine, theirs in zip(replayed, eager, strict=True):
        assert all(torch.equal(value, other) for value, other in zip(mine, theirs, strict=True))
    assert not torch.equal(replayed[0][0], replayed[1][0])
    assert torch.equal(torch.cuda.get_rng_state(), state)


def test_backward_of_a_replay_draws_the_noise_of_its_forward(gpu: str) -> None:
    graph, (z, _, gradient) = captured(sample(gpu, 20))
    for _ in range(REPLAYS):
        graph.replay()
        # z = mu + scale * eps with mu = 0 and scale = 1.
        assert torch.equal(gradient, z)


def trained(device: str, *, in_a_graph: bool) -> tuple[list[float], list[Tensor]]:
    """The losses of some steps after the same beginning, and the weights they lead to."""
    model, x = vae(device), batch(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True, capturable=True)
    step = step_of(model, optimizer, x)
    beginning = [parameter.detach().clone() for parameter in model.parameters()]
    if in_a_graph:
        graph, result = captured(step)
    else:
        step()
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), beginning, strict=True):
            parameter.copy_(value)
            for state in optimizer.state[parameter].values():
                state.zero_()
    torch.cuda.manual_seed(11)
    losses = []
    for _ in range(5):
        if in_a_graph:
            graph.replay()
        else:
            result = step()
        losses.append(result.item())
    return losses, [parameter.detach() for parameter in model.parameters()]


def test_a_captured_training_step_trains_as_an_eager_one(gpu: str) -> None:
    """Forward, backward and optimizer in one graph; a matrix product may round otherwise inside of it."""
    losses, weights = trained(gpu, in_a_graph=True)
    expected_losses, expected_weights = trained(gpu, in_a_graph=False)
    assert len(set(losses)) == len(losses)
    torch.testing.assert_close(losses, expected_losses, rtol=1e-5, atol=0)
    # Adam divides by the root of small gradients.
    torch.testing.assert_close(weights, expected_weights, rtol=1e-3, atol=1e-4)


def test_without_learning_only_the_noise_moves_the_loss(gpu: str) -> None:
    model, x = vae(gpu), batch(gpu)
    graph, result = captured(step_of(model, torch.optim.SGD(model.parameters(), lr=0.0), x))
    losses = set()
    for _ in range(REPLAYS):
        graph.replay()
        losses.add(result.item())
    assert len(losses) == REPLAYS


def test_graphs_replayed_at_once_share_no_sums(gpu: str) -> None:
    """Each has the bits of an eager call, however often both run at the same time."""
    inputs = [torch.randn(300, 3000, device=gpu, generator=torch.Generator(gpu).manual_seed(seed)) for seed in (0, 1)]
    target = torch.zeros(300, 3000, device=gpu)

    def loss(x: Tensor) -> tuple[Tensor, Tensor]:
        return F.mse_loss(x, target), F.mse_loss(x, target, reduction="sample")

    eager = [loss(x) for x in inputs]
    graphs = [captured(functools.partial(loss, x)) for x in inputs]
    streams = [torch.cuda.Stream() for _ in inputs]
    for _ in range(50):
        for stream, (graph, _) in zip(streams, graphs, strict=True):
            with torch.cuda.stream(stream):
                graph.replay()
    torch.cuda.synchronize()
    for (_, found), expected in zip(graphs, eager, strict=True):
        assert all(torch.equal(value, other) for value, other in zip(found, expected, strict=True))
