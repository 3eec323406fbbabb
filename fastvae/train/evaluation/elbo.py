"""How good a model is on images it was not trained on: its objective, by a latent for each image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from fastvae.losses import Schedule
from fastvae.train.data.datasets import Split
from fastvae.train.processes import group
from fastvae.train.runs import random
from fastvae.train.runs.metrics import Means, Sums


@torch.no_grad()
def elbo(objective: nn.Module, split: Split, seed: int, log_normalizer: float) -> Means:
    """The objective and the parts of the ELBO, in float32; a seed's noise is the same at every call."""
    sums = Sums(split.images.device, log_normalizer)
    objective.eval()
    with random.separate(seed, split.images.device):
        for images, labels in split.batches():
            share = group.share(len(labels))
            output = objective(images[share.rows], labels[share.rows], share)
            if share.size:
                sums.add(output.loss, output.reconstruction_loss, output.kl, getattr(output, "kl_terms", None))
    sums.add_up()
    return sums.means()


def validation_loss(objective: nn.Module, split: Split, seed: int) -> float:
    """What a run minimizes once its warm-ups are over, of images that it does not train on."""
    with _warmed_up(objective):
        return elbo(objective, split, seed, 0.0).loss


@contextmanager
def _warmed_up(module: nn.Module) -> Iterator[None]:
    """Schedules at their ends inside the block."""
    counts = {schedule: schedule.count.clone() for schedule in module.modules() if isinstance(schedule, Schedule)}
    for schedule in counts:
        schedule.count.fill_(schedule.steps)
    yield
    for schedule, count in counts.items():
        schedule.count.copy_(count)
