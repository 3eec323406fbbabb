"""What every level but the kernels says of a likelihood: the reconstruction losses, and the densities made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor, nn


class Loss(NamedTuple):
    """A pointwise reconstruction loss of `fastvae.functional`.

    Attributes:
        scaled: a tensor `log_scale` follows the target.
        counts: the target holds counts, constants: uint8 ones are read as they are, not as pixels, value / 255.
    """

    scaled: bool = False
    counts: bool = False


LOSSES: Final[dict[str, Loss]] = {
    "binary_cross_entropy_with_logits": Loss(),
    "binary_cross_entropy": Loss(),
    "mse_loss": Loss(),
    "l1_loss": Loss(),
    "gaussian_nll": Loss(scaled=True),
    "poisson_nll": Loss(counts=True),
    "poisson_nll_of_rate": Loss(counts=True),
}


def _identity(prediction: Tensor) -> Tensor:
    return prediction


class Likelihood(NamedTuple):
    """p(x | z) with ``-log p = factor * loss(prediction, x) + log_normalizer`` an element.

    Attributes:
        loss: a row of `LOSSES`.
        mean: from the decoder's output to the mean of x.
        activation: from any real number to the decoder's output, where x is in [0, 1]; None if that takes any.
        factor: multiplies the loss.
        full: the loss is called with ``full=True``: what it adds depends on x, which no constant could stand for.
        log_normalizer: the constant that the training loss leaves out, because it has no gradient.
        scale: of x about its mean: ``"fixed"``, ``"learned"`` as a parameter, or None where the mean decides it.
    """

    loss: str
    mean: Callable[[Tensor], Tensor]
    activation: type[nn.Module] | None
    factor: float = 1.0
    full: bool = False
    log_normalizer: float = 0.0
    scale: Literal["fixed", "learned"] | None = None

    @property
    def learned_scale(self) -> bool:
        """The log-scale is a parameter."""
        return self.scale == "learned"

    @property
    def pixel_range(self) -> tuple[float, float]:
        """x of a black and of a white pixel, bytes of 0 and 255: as the loss reads them."""
        return (0.0, 255.0) if LOSSES[self.loss].counts else (0.0, 1.0)

    def decoder_channels(self, channels: int) -> int:
        """How many channels the decoder's output has for x of `channels`: one number for each of x."""
        return channels


_HALF_LOG_2PI: Final = 0.5 * math.log(2 * math.pi)
_HALF_LOG_PI: Final = 0.5 * math.log(math.pi)
_LOG_2: Final = math.log(2)

LIKELIHOODS: Final[dict[str, Likelihood]] = {
    "bernoulli": Likelihood("binary_cross_entropy_with_logits", torch.sigmoid, None),
    "bernoulli_probs": Likelihood("binary_cross_entropy", _identity, nn.Sigmoid),
    "gaussian": Likelihood("mse_loss", _identity, nn.Sigmoid, 0.5, log_normalizer=_HALF_LOG_2PI, scale="fixed"),
    "squared_error": Likelihood("mse_loss", _identity, nn.Sigmoid, log_normalizer=_HALF_LOG_PI, scale="fixed"),
    "laplace": Likelihood("l1_loss", _identity, nn.Sigmoid, log_normalizer=_LOG_2, scale="fixed"),
    "gaussian_learned": Likelihood(
        "gaussian_nll", _identity, nn.Sigmoid, log_normalizer=_HALF_LOG_2PI, scale="learned"
    ),
    "poisson": Likelihood("poisson_nll", torch.exp, None, full=True),
    "laplace_learned": Likelihood("l1_loss", _identity, nn.Sigmoid, log_normalizer=_LOG_2, scale="learned"),
}


def likelihood(name: object, beside: tuple[str, ...] = ()) -> Likelihood:
    """The row called `name`; `beside` are the names that the caller takes as well.

    Raises:
        ValueError: an unknown name.
    """
    if not isinstance(name, str) or name not in LIKELIHOODS:
        raise ValueError(f"likelihood: got {name!r}; takes one of {(*LIKELIHOODS, *beside)} or a callable")
    return LIKELIHOODS[name]
