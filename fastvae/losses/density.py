"""A likelihood of the caller's own that is more than a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Density(nn.Module, ABC):
    """p(x | z) of your own, for the models and `fastvae.ELBOLoss`: ``likelihood=YourDensity()``.

    A plain callable is minimized, its negative is taken for log p(x | z) and the decoder's output for the mean. Derive
    from this class where these differ. The methods see one batch dimension, whatever the number of latent samples, and
    the prediction as the decoder returned it: a tensor, or a tuple, list or dict of tensors.
    """

    @abstractmethod
    def log_prob(self, prediction: Any, target: Tensor) -> Tensor:
        """log p(target | z) in nats, normalized, one value a sample: ``[batch]``."""

    @abstractmethod
    def mean(self, prediction: Any) -> Tensor:
        """The expected target, in data space and in the shape of the target."""

    def forward(self, prediction: Any, target: Tensor) -> Tensor:
        """What training minimizes, one value a sample: ``[batch]``. Unless overridden, ``-log_prob``."""
        return -self.log_prob(prediction, target)

    def batch_mean(self, prediction: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of `forward` over the batch, and its values without gradient.

        Override it where one pass that knows the reduction is faster, as one that writes the gradient is.
        """
        values = self(prediction, target)
        return values.mean(), values.detach()
