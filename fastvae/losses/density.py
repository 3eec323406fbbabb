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

    Examples:
        >>> class Exponential(fastvae.losses.Density):  # of log rates
        ...     def log_prob(self, prediction, target):
        ...         return (prediction - target * prediction.exp()).flatten(1).sum(1)
        ...     def mean(self, prediction):
        ...         return (-prediction).exp()
        >>> density, log_rate, x = Exponential(), torch.zeros(2, 3), torch.ones(2, 3)
        >>> density(log_rate, x), density.batch_mean(log_rate, x)[0]
        (tensor([3., 3.]), tensor(3.))
        >>> density.decoder_channels(3), density.pixel_range
        (3, (0.0, 1.0))
        >>> fastvae.ELBOLoss(density)(log_rate, x, torch.zeros(2))
        ELBOOutput(loss=tensor(3.), reconstruction=float32[2], kl=float32[2])
    """

    @abstractmethod
    def log_prob(self, prediction: Any, target: Tensor) -> Tensor:
        """log p(target | z), normalized.

        Args:
            prediction: what the decoder returned for a batch.
            target: the data, ``[batch, ...]``.

        Returns:
            One value a sample in nats: ``[batch]``.

        Raises:
            TypeError, ValueError: a prediction or a target that does not fit.
        """

    @abstractmethod
    def mean(self, prediction: Any) -> Tensor:
        """The expected target, in data space.

        Args:
            prediction: what the decoder returned for a batch.

        Returns:
            The shape of the target.

        Raises:
            TypeError, ValueError: a prediction that does not fit.
        """

    @property
    def pixel_range(self) -> tuple[float, float]:
        """What `mean` is of a black and of a white pixel, bytes of 0 and 255: ``(0, 1)`` unless overridden."""
        return 0.0, 1.0

    def decoder_channels(self, channels: int) -> int:
        """How many channels one tensor from the decoder has: as many as the target, unless overridden.

        Args:
            channels: of the target.

        Returns:
            An int.
        """
        return channels

    def forward(self, prediction: Any, target: Tensor) -> Tensor:
        """What training minimizes. Unless overridden, ``-log_prob``.

        Args:
            prediction, target: as in `log_prob`.

        Returns:
            One value a sample in nats: ``[batch]``.

        Raises:
            TypeError, ValueError: as of `log_prob`.
        """
        return -self.log_prob(prediction, target)

    def batch_mean(self, prediction: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of `forward` over the batch, and its values.

        Override it where one pass that knows the reduction is faster, as one that writes the gradient is.

        Args:
            prediction, target: as in `log_prob`.

        Returns:
            A scalar, and ``[batch]`` without gradient, in nats.

        Raises:
            TypeError, ValueError: as of `log_prob`.
        """
        values = self(prediction, target)
        return values.mean(), values.detach()
