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
from fastvae.networks.dropout import Dropout
from fastvae.train.data.conditions import Conditioning
from fastvae.train.data.datasets import binarized
from fastvae.train.models.build import Model, conditioning
from fastvae.train.models.conditional import Baseline
from fastvae.train.processes.group import Share
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
        self._dropouts = [module for module in model.modules() if isinstance(module, Dropout)]

    def _draw_as(self, share: Share | None) -> None:
        """Draw what is dropped as for the whole batch."""
        rows = None if share is None or share.shard is None else (share.rows.start, share.rows.stop, share.total)
        for dropout in self._dropouts:
            dropout.rows = rows

    def _loss(self, *inputs: Tensor, share: Share | None) -> Loss:
        """The model's own loss."""
        self._draw_as(share)
        options: dict[str, Any] = {} if self.num_samples == 1 else {"num_samples": self.num_samples}
        if share is not None and share.shard is not None and not isinstance(self.model, Baseline):
            options["shard"] = share.shard
        output: Any = self.model(*inputs, **options)
        # One latent needs no dimension of samples.
        samples = output.reconstruction_loss if self.num_samples == 1 else output.reconstruction_loss.mean(0)
        return Loss(output.loss, samples, output.kl, output.kl_terms)


class Generative(Objective):
    """The negative ELBO of images.

    Args:
        model, num_samples: see `Objective`.
        binarize: draw black and white pixels anew for each training batch (Salakhutdinov & Murray 2008).
    """

    def __init__(self, model: VAE, num_samples: int, *, binarize: bool) -> None:
        super().__init__(model, num_samples)
        self.binarize = binarize

    def forward(self, images: Tensor, labels: Tensor, share: Share | None = None) -> Loss:
        """Images ``[batch, ...]``; `share` where they are a part of a batch."""
        return self._loss(self._pixels(images, share), share=share)

    def _pixels(self, images: Tensor, share: Share | None = None) -> Tensor:
        if not self.binarize or not self.training:
            return images
        if share is None or share.shard is None:
            return binarized(images)
        # What is drawn for a pixel does not depend on the others' values.
        whole = images.new_zeros((share.total, *images.shape[1:]))
        whole[share.rows] = images
        return binarized(whole)[share.rows]


class ImportanceWeighted(Generative):
    """The importance-weighted bound of images (Burda et al. 2016).

    Its parts are those of the ELBO for the same latents: the KL in closed form, and the rest of the mean log weight.
    """

    def forward(self, images: Tensor, labels: Tensor, share: Share | None = None) -> Loss:
        """Images ``[batch, ...]``; `share` where they are a part of a batch."""
        assert isinstance(self.model, VAE)
        self._draw_as(share)
        x = self._pixels(images, share)
        posterior = self.model.encode(x)
        shard = None if share is None else share.shard
        log_w = self.model.log_weights(x, num_samples=self.num_samples, posterior=posterior, shard=shard)
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

    def forward(self, images: Tensor, labels: Tensor, share: Share | None = None) -> Loss:
        """Images ``[batch, ...]``, labels int64 ``[batch]``; `share` where they are a part of a batch."""
        return self._loss(*self.conditioning(images, labels), share=share)


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
