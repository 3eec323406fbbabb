"""The likelihoods a decoder's output can parameterize: a table over the reconstruction losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor


def _identity(prediction: Tensor) -> Tensor:
    return prediction


class Likelihood(NamedTuple):
    """p(x | z) with ``-log p = factor * loss(prediction, x) + log_normalizer`` an element.

    Attributes:
        loss: the function of `fastvae.functional`.
        factor: multiplies it.
        log_normalizer: what the training losses leave out because it has no gradient.
        learned_scale: the log-scale is a parameter.
        mean: the decoder's output in data space.
    """

    loss: str
    factor: float = 1.0
    log_normalizer: float = 0.0
    learned_scale: bool = False
    mean: Callable[[Tensor], Tensor] = _identity


_HALF_LOG_2PI: Final = 0.5 * math.log(2 * math.pi)

LIKELIHOODS: Final[dict[str, Likelihood]] = {
    "bernoulli": Likelihood("binary_cross_entropy_with_logits", mean=torch.sigmoid),
    "bernoulli_probs": Likelihood("binary_cross_entropy"),
    "gaussian": Likelihood("mse_loss", 0.5, _HALF_LOG_2PI),
    "squared_error": Likelihood("mse_loss", 1.0, 0.5 * math.log(math.pi)),
    "laplace": Likelihood("l1_loss", 1.0, math.log(2)),
    "gaussian_learned": Likelihood("gaussian_nll", 1.0, _HALF_LOG_2PI, learned_scale=True),
    "laplace_learned": Likelihood("l1_loss", 1.0, math.log(2), learned_scale=True),
}


def likelihood(name: object) -> Likelihood:
    """The row called `name`.

    Raises:
        ValueError: an unknown name.
    """
    if not isinstance(name, str) or name not in LIKELIHOODS:
        raise ValueError(f"likelihood: got {name!r}; takes one of {tuple(LIKELIHOODS)} or a callable")
    return LIKELIHOODS[name]
