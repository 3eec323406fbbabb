"""A training loop for models that ``fastvae train`` does not build, timed in seconds of the processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Terms(NamedTuple):
    """A batch's loss, and its parts without their weights and detached: scalars in nats per sample."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


Objective = Callable[[Tensor], Terms]


class Plan(NamedTuple):
    """How long and how fast to train, with Adam."""

    epochs: int
    batch_size: int
    lr: float


class Fitted(NamedTuple):
    """What training took.

    Attributes:
        losses: the mean over each epoch's batches, in nats per sample.
        steps: how many batches there were.
        seconds: of the processor, those of all threads together. Work beside it on the machine makes them a little
            more, where it makes the time of day much more.
    """

    losses: list[float]
    steps: int
    seconds: float


def fit(parameters: Iterable[nn.Parameter], objective: Objective, data: Tensor, plan: Plan) -> Fitted:
    """Train on batches of `data`, whose order torch's generator draws."""
    optimizer = torch.optim.Adam(parameters, lr=plan.lr)
    losses, steps = [], 0
    begun = time.process_time()
    for _ in range(plan.epochs):
        total = torch.zeros(())
        batches = torch.randperm(len(data)).split(plan.batch_size)
        for batch in batches:
            optimizer.zero_grad()
            loss = objective(data[batch]).loss
            loss.backward()
            optimizer.step()
            total += loss.detach()
        steps += len(batches)
        losses.append(float(total) / len(batches))
    return Fitted(losses, steps, time.process_time() - begun)
