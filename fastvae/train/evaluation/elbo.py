"""How good a model is on images it was not trained on: its objective, by a latent for each image."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from fastvae.losses import Schedule
from fastvae.train.processes import group
from fastvae.train.runs import random
from fastvae.train.runs.metrics import Means, Sums


class Samples(Protocol):
    """Samples on a device, or copied there batch by batch; one or more tensors each, such as an image and a label."""

    @property
    def size(self) -> int:
        """How many samples there are."""

    @property
    def device(self) -> torch.device:
        """Where batches come out."""

    def at(self, pieces: Sequence[Tensor]) -> Generator[tuple[Tensor, ...]]:
        """``[n, ...]`` each, at each of `pieces`, int64 indices ``[n]``."""

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """All samples in their order, as many at once as are evaluated."""


@torch.no_grad()
def elbo(objective: nn.Module, samples: Samples, seed: int, log_normalizer: float) -> Means:
    """The objective and the parts of the ELBO, in float32; a seed's noise is the same at every call."""
    sums = Sums(samples.device, log_normalizer)
    objective.eval()
    with random.separate(seed, samples.device):
        for batch in samples.batches():
            share = group.share(len(batch[0]))
            rows = [tensor[share.rows] for tensor in batch]
            output = objective(*rows) if share.shard is None else objective(*rows, share=share)
            if share.size:
                sums.add(output.loss, output.reconstruction_loss, output.kl, getattr(output, "kl_terms", None))
    sums.add_up()
    return sums.means()


def validation_loss(objective: nn.Module, samples: Samples, seed: int) -> float:
    """What a run minimizes once its warm-ups are over, of images that it does not train on."""
    with _warmed_up(objective):
        return elbo(objective, samples, seed, 0.0).loss


@contextmanager
def _warmed_up(module: nn.Module) -> Iterator[None]:
    """Schedules at their ends inside the block."""
    counts = {schedule: schedule.count.clone() for schedule in module.modules() if isinstance(schedule, Schedule)}
    for schedule in counts:
        schedule.count.fill_(schedule.steps)
    yield
    for schedule, count in counts.items():
        schedule.count.copy_(count)
