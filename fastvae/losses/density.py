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

    @property
    def pixel_range(self) -> tuple[float, float]:
        """What `mean` is of a black and of a white pixel, bytes of 0 and 255: ``(0, 1)`` unless overridden."""
        return 0.0, 1.0

    def decoder_channels(self, channels: int) -> int:
        """How many channels one tensor from the decoder has for a target of `channels`: as many, unless overridden."""
        return channels

    def forward(self, prediction: Any, target: Tensor) -> Tensor:
        """What training minimizes, one value a sample: ``[batch]``. Unless overridden, ``-log_prob``."""
        return -self.log_prob(prediction, target)

    def batch_mean(self, prediction: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of `forward` over the batch, and its values without gradient.

        Override it where one pass that knows the reduction is faster, as one that writes the gradient is.
        """
        values = self(prediction, target)
        return values.mean(), values.detach()
