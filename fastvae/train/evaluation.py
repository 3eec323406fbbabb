"""How good a model is on images it was not trained on: its objective, by a latent for each image."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from fastvae.train import random
from fastvae.train.data import Split
from fastvae.train.metrics import Means, Sums

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
