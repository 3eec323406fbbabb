"""Nats of an image in bits per dimension: of each value of it, whatever its size.

    bits per dimension = (-log p(x) + D step) / (D log 2)

for the D values of an image and -log p(x) in nats: its negative ELBO, which is an upper bound, or minus its
log-likelihood. What `step` is, and whether there is any such number, depends on what p(x|z) is:

- a probability, of a level or a count, or of a bit (``bernoulli`` with ``binarize``): step = 0, and the result is the
  length of a code;
- a density of values in [0, 1], read from bytes as level / 255: a density times the 1/255 between two levels stands for
  the probability of a level, step = log 255. No noise is added to the levels (uniform dequantization), so that this is
  no bound, and too low where the scale of p(x|z) is not well above 1/255;
- a density of other values, such as binarized pixels or floats, whose levels are not 1/255 apart: none;
- ``bernoulli`` of grey pixels: none, because it is no density of them, the exponential of its loss having another
  integral than 1.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from fastvae._likelihoods import LIKELIHOODS
from fastvae.train.models import objectives
from fastvae.train.settings.config import Config
from fastvae.train.settings.kinds import OF_LEVELS

_STEP: Final = math.log(255)


class Bits(NamedTuple):
    """Nats of an image in bits per dimension.

    Attributes:
        dimensions: values of an image, or of what of it is the target.
        step: nats added for each of them.
    """

    dimensions: int
    step: float

    def of(self, log_likelihood: float) -> float:
        """Of log p(x), or a bound of it, in nats an image."""
        return (self.step - log_likelihood / self.dimensions) / math.log(2)

    def __str__(self) -> str:
        step = ", the density of each times the 1/255 between levels" if self.step else ""
        return f"of {self.dimensions} values{step}"


def bits(config: Config) -> Bits | None:
    """Those of a run; None where its likelihood has no bits per dimension."""
    dimensions = objectives.dimensions(config)
    if config.likelihood in OF_LEVELS:
        return Bits(dimensions, 0.0)
    binary = config.binarize != "none"
    if LIKELIHOODS[config.likelihood].scale is None:
        return Bits(dimensions, 0.0) if binary else None
    return None if binary or config.values != "bytes" else Bits(dimensions, _STEP)
