"""The densities that have a name, beside the likelihoods of `fastvae._likelihoods`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from fastvae.losses.density import Density
from fastvae.losses.discretized_logistic_mixture import DiscretizedLogisticMixture
from fastvae.losses.negative_binomial import NegativeBinomial

DENSITIES: Final[dict[str, Callable[[], Density]]] = {
    "negative_binomial": NegativeBinomial,
    "zero_inflated_negative_binomial": partial(NegativeBinomial, zero_inflated=True),
    "discretized_logistic_mixture": DiscretizedLogisticMixture,
}
