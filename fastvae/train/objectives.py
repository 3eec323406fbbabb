"""What a step minimizes: from a batch of images and labels to a loss and what is logged."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae import functional as F
from fastvae.train import pixels
from fastvae.train.conditional import Baseline
from fastvae.train.conditions import Condition

Model = VAE | CVAE | Baseline


class Loss(NamedTuple):
    """A batch's loss, a scalar, and its parts in nats, ``[batch]``, detached."""

    loss: Tensor
    reconstruction_loss: Tensor
    kl: Tensor


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
            return Loss(output.loss, output.reconstruction_loss, output.kl)
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
        return self._loss(self._drawn(images))

    def _drawn(self, images: Tensor) -> Tensor:
        if not (self.binarize and self.training):
            return images
        return pixels.drawn(images)


class ImportanceWeighted(Generative):
    """The importance-weighted bound of images (Burda et al. 2016).

    Its parts are those of the ELBO for the same latents: the KL in closed form, and the rest of the mean log weight.
    """

    def forward(self, images: Tensor, labels: Tensor) -> Loss:
        """Images: uint8 ``[batch, 1, height, width]``."""
        assert isinstance(self.model, VAE)
        x = self._drawn(images)
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
        condition: what of an image is given, and what is the target.
    """

    def __init__(self, model: CVAE | Baseline, num_samples: int, condition: Condition) -> None:
        super().__init__(model, num_samples)
        self.condition = condition

    def forward(self, images: Tensor, labels: Tensor) -> Loss:
        """Images: uint8 ``[batch, 1, height, width]``; labels: int64 ``[batch]``."""
        return self._loss(*self.condition(images, labels))
