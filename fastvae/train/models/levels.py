"""Likelihoods of the levels of a byte: what they are trained on, and the pictures that they give."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fastvae.losses import Density, Reconstruction
from fastvae.losses._named import named
from fastvae.train.settings.kinds import OF_LEVELS


class Levels(Density):
    """A likelihood of levels, 0 to 255, which are the target as it is; its mean is a picture, in [0, 1].

    Args:
        likelihood: a name of `OF_LEVELS`.
    """

    def __init__(self, likelihood: str) -> None:
        super().__init__()
        found = named(likelihood)
        self.reconstruction = Reconstruction(found if isinstance(found, Density) else likelihood)

    def forward(self, prediction: Any, target: Tensor) -> Tensor:
        """-log p(target | z) in nats: ``[batch]``."""
        values: tuple[Tensor, Tensor] = self.reconstruction(prediction, target, per_sample=True)
        return values[0]

    def batch_mean(self, prediction: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of `forward` over the batch, in one pass with its gradient, and its values without."""
        values: tuple[Tensor, Tensor] = self.reconstruction(prediction, target)
        return values

    def log_prob(self, prediction: Any, target: Tensor) -> Tensor:
        """log p(target | z) in nats: ``[batch]``."""
        return self.reconstruction.log_prob(prediction, target)

    def mean(self, prediction: Any) -> Tensor:
        """The expected level as black, 0, to white, 1; an expected count above 255 is white."""
        black, white = self.reconstruction.pixel_range
        mean: Tensor = self.reconstruction.mean(prediction)
        return ((mean - black) / (white - black)).clamp(0.0, 1.0)


def likelihood(name: str, values: str = "bytes") -> str | Levels:
    """What a model takes for the likelihood of a config: of bytes, such that its means are pictures, in [0, 1].

    Args:
        name: of the likelihood.
        values: of the data, see `fastvae.train.data.description.VALUES`; the mean of counts is one of counts.
    """
    return Levels(name) if name in OF_LEVELS and values == "bytes" else name
