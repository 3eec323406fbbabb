"""What training begins from beside fresh weights: what the data and another run already tell."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import nn

from fastvae.losses import Reconstruction
from fastvae.train import model as models
from fastvae.train.conditions import Quadrants
from fastvae.train.config import Config
from fastvae.train.data import Split
from fastvae.train.objectives import Model
from fastvae.train.pixels import fractions

_BATCH: Final = 500
# Pixels that never change have no deviation, and bytes tell no smaller one.
_GREY: Final = 1 / 255


def begin(model: Model, config: Config, train: Split) -> None:
    """Prepare a model that has not been trained.

    Raises:
        UserError: the run that the config's first guess is from is missing, or does not fit.
    """
    scales = [
        module for module in model.modules() if isinstance(module, Reconstruction) and module.log_scale is not None
    ]
    if scales:
        value = math.log(max(_deviation(config, train), _GREY))
        for module in scales:
            assert module.log_scale is not None
            nn.init.constant_(module.log_scale, value)
    if config.first_guess is not None:
        models.load_first_guess(model, config)


def _deviation(config: Config, train: Split) -> float:
    """The standard deviation of the targets' pixels about their means over images, one number for all pixels.

    It is the learned scale of the best decoder that ignores its latent. From a greater one, such as 1, where an error
    costs less than the KL that would avoid it, the latent collapses before the scale has come down.
    """
    condition = models.condition(config).to(train.images.device) if config.condition == "quadrants" else None
    assert condition is None or isinstance(condition, Quadrants)
    count = len(train.labels)
    total = squares = torch.zeros((), dtype=torch.float64)
    for images, labels in train.batches(_BATCH):
        target = images if condition is None else condition(images, labels).target
        values = fractions(target).flatten(1).double().cpu()
        total = total + values.sum(0)
        squares = squares + values.square().sum(0)
    variances = squares / count - (total / count).square()
    return math.sqrt(max(variances.mean().item(), 0.0))
