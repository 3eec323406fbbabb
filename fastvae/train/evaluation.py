"""How good a model is on images it was not trained on: its objective, by a latent for each image, and its latent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import nn

from fastvae import CVAE, VAE, DiagonalGaussian
from fastvae.distributions import Prior
from fastvae.losses import Schedule
from fastvae.train import model as models
from fastvae.train import random
from fastvae.train.conditional import Baseline
from fastvae.train.config import Config
from fastvae.train.data import Split
from fastvae.train.latent_use import LatentUse, measure
from fastvae.train.metrics import Means, Sums
from fastvae.train.objectives import Model

# Large enough to keep a device busy; no result depends on the batch size of training.
_BATCH: Final = 500


@torch.no_grad()
def elbo(objective: nn.Module, split: Split, seed: int, log_normalizer: float) -> Means:
    """The objective and the parts of the ELBO, in float32; a seed's noise is the same at every call."""
    sums = Sums(split.images.device, log_normalizer)
    objective.eval()
    with random.separate(seed, split.images.device):
        for images, labels in split.batches(_BATCH):
            output = objective(images, labels)
            sums.add(output.loss, output.reconstruction_loss, output.kl)
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


@torch.no_grad()
def latent_use(model: Model, config: Config, split: Split) -> LatentUse | None:
    """Active units, and the analytic KL of each dimension, whichever estimator the objective has.

    None where no posterior was trained: a GSNN draws from its prior, and a baseline has no latent.
    """
    if isinstance(model, Baseline) or config.objective == "gsnn":
        return None
    model.eval()
    return measure(posteriors(model, config, split))


def posteriors(model: VAE | CVAE, config: Config, split: Split) -> Iterator[tuple[DiagonalGaussian, Prior]]:
    """q(z | x), or q(z | condition, target), of each batch, and its prior."""
    for images, labels in split.batches(_BATCH):
        if isinstance(model, VAE):
            yield model.encode(images), None
        else:
            condition = models.condition(config).to(images.device)
            x, target = condition(images, labels)
            yield model.encode(target, x), None if model.prior is None else model.encode_prior(x)
