"""The likelihoods that have a name: the densities, beside those of `fastvae._likelihoods`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from fastvae import _likelihoods
from fastvae._likelihoods import LIKELIHOODS, Likelihood
from fastvae.losses.density import Density
from fastvae.losses.discretized_logistic_mixture import DiscretizedLogisticMixture
from fastvae.losses.negative_binomial import NegativeBinomial

DENSITIES: Final[dict[str, Callable[[], Density]]] = {
    "negative_binomial": NegativeBinomial,
    "zero_inflated_negative_binomial": partial(NegativeBinomial, zero_inflated=True),
    "discretized_logistic_mixture": DiscretizedLogisticMixture,
}

NAMES: Final = (*LIKELIHOODS, *DENSITIES)


def named(name: object) -> Likelihood | Density:
    """The likelihood called `name`: its row, or a density of its own.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(name, str) and name in DENSITIES:
        return DENSITIES[name]()
    return _likelihoods.likelihood(name, beside=tuple(DENSITIES))
