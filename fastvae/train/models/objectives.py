"""What a step minimizes: from a batch of images and labels to a loss and what is logged."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae import functional as F
from fastvae._likelihoods import LIKELIHOODS
from fastvae.losses import KLTerms
from fastvae.train.data.conditions import Conditioning
from fastvae.train.data.datasets import binarized
from fastvae.train.models.build import Model, conditioning
from fastvae.train.models.conditional import Baseline
from fastvae.train.settings.config import Config


class Loss(NamedTuple):
    """A batch's loss, a scalar, its parts in nats, ``[batch]``, and the means of a divided KL's parts, detached."""

    loss: Tensor
    reconstruction_loss: Tensor
    kl: Tensor
    kl_terms: KLTerms | None = None


class Objective(nn.Module):
    """A model and how it is trained.

    Args:
        model: what the weights of a run are of.
        num_samples: latents drawn for each image.
    """

    def __init__(self, model: Model, num_samples: int) -> None:
        super().__init__()
        self.model = model
        self.num_samples = num_samples

    def _loss(self, *inputs: Tensor) -> Loss:
        """The model's own loss."""
        # One latent needs no dimension of samples.
        if self.num_samples == 1:
            output: Any = self.model(*inputs)
            return Loss(output.loss, output.reconstruction_loss, output.kl, output.kl_terms)
        output = self.model(*inputs, num_samples=self.num_samples)
        return Loss(output.loss, output.reconstruction_loss.mean(0), output.kl)


class Generative(Objective):
    """The negative ELBO of images.

    Args:
        model, num_samples: see `Objective`.
        binarize: draw black and white pixels anew for each training batch (Salakhutdinov & Murray 2008).
    """

    def __init__(self, model: VAE, num_samples: int, *, binarize: bool) -> None:
        super().__init__(model, num_samples)
        self.binarize = binarize

    def forward(self, images: Tensor, labels: Tensor) -> Loss:
        """Images: uint8 ``[batch, 1, height, width]``."""
        return self._loss(self._pixels(images))

    def _pixels(self, images: Tensor) -> Tensor:
        return binarized(images) if self.binarize and self.training else images


class ImportanceWeighted(Generative):
    """The importance-weighted bound of images (Burda et al. 2016).

    Its parts are those of the ELBO for the same latents: the KL in closed form, and the rest of the mean log weight.
    """

    def forward(self, images: Tensor, labels: Tensor) -> Loss:
        """Images: uint8 ``[batch, 1, height, width]``."""
        assert isinstance(self.model, VAE)
        x = self._pixels(images)
        posterior = self.model.encode(x)
        log_w = self.model.log_weights(x, num_samples=self.num_samples, posterior=posterior)
        with torch.no_grad():
            kl = posterior.kl()
            reconstruction = -log_w.mean(0) - kl
        return Loss(-F.importance_weighted_bound(log_w).mean(), reconstruction, kl)


class Conditional(Objective):
    """The objective of a conditional model.

    Args:
        model, num_samples: see `Objective`.
        conditioning: what makes a condition and a target of an image.
    """

    def __init__(self, model: CVAE | Baseline, num_samples: int, conditioning: Conditioning) -> None:
        super().__init__(model, num_samples)
        self.conditioning = conditioning

    def forward(self, images: Tensor, labels: Tensor) -> Loss:
        """Images: uint8 ``[batch, 1, height, width]``; labels: int64 ``[batch]``."""
        return self._loss(*self.conditioning(images, labels))


def create(config: Config, model: Model) -> Objective:
    """How `model` is trained."""
    if not isinstance(model, VAE):
        return Conditional(model, config.train_samples, conditioning(config))
    kind = ImportanceWeighted if config.objective == "iwae" else Generative
    return kind(model, config.train_samples, binarize=config.binarize == "dynamic")


def dimensions(config: Config) -> int:
    """How many values p(x|z) is of: those of an image, or of what of it is the target."""
    return math.prod(config.shape if config.condition == "none" else conditioning(config).target_shape)


def log_normalizer(config: Config) -> float:
    """The nats per image that make the training objective's reconstruction term -log p(x|z).

    An importance weight is a ratio of densities, which leaves nothing out; nor does the loss of a `Density`.
    """
    row = LIKELIHOODS.get(config.likelihood)
    if config.objective == "iwae" or row is None:
        return 0.0
    return row.log_normalizer * dimensions(config)
