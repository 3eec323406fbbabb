"""What the ops are by definition, a number at a time in mpmath, for float64: no formula here minds a cancellation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import mpmath
import torch
from mpmath import mp
from torch import Tensor

Definition = Callable[..., Any]
"""Of numbers by the names of the op's tensors."""
DIGITS: Final = 90
_STEP: Final = mpmath.mpf(10) ** -25


def standard_kl(mu: Any, scale: Any) -> Any:
    """Kingma & Welling 2014, appendix B."""
    return (mu**2 + mp.exp(scale) - 1 - scale) / 2


def prior_kl(mu: Any, scale: Any, prior_mu: Any, prior_scale: Any) -> Any:
    """KL of two Gaussians."""
    return ((mu - prior_mu) ** 2 * mp.exp(-prior_scale) + mp.exp(scale - prior_scale) - 1 - scale + prior_scale) / 2


def sample(mu: Any, scale: Any, eps: Any) -> Any:
    """mu + sigma eps."""
    return mu + mp.exp(scale / 2) * eps


def bce_with_logits(input: Any, target: Any) -> Any:
    """Of logits."""
    return mp.log(1 + mp.exp(input)) - target * input


def bce(input: Any, target: Any) -> Any:
    """Of probabilities, with torch's clamp."""
    return -target * max(mp.log(input), -100) - (1 - target) * max(mp.log(1 - input), -100)


def squared(input: Any, target: Any) -> Any:
    """Squared error."""
    return (input - target) ** 2


def absolute(input: Any, target: Any) -> Any:
    """Absolute error."""
    return abs(input - target)


def gaussian(input: Any, target: Any, log_scale: Any) -> Any:
    """Without its constant."""
    return ((input - target) * mp.exp(-log_scale)) ** 2 / 2 + log_scale


def poisson(log_rate: Any, target: Any) -> Any:
    """Of a log rate."""
    return mp.exp(log_rate) - target * log_rate + mp.loggamma(target + 1)


def poisson_of_rate(rate: Any, target: Any) -> Any:
    """Of a rate, with torch's 1e-8."""
    return rate - target * mp.log(rate + mpmath.mpf(1e-8)) + mp.loggamma(target + 1)


def negative_binomial(mean: Any, inverse_dispersion: Any, target: Any) -> Any:
    """With scvi-tools' 1e-8 beside the mean of a count above 0."""
    t, x, m = inverse_dispersion, target, mean + (mpmath.mpf(1e-8) if target > 0 else 0)
    gammas = mp.loggamma(x + t) - mp.loggamma(t) - mp.loggamma(x + 1)
    return -gammas - t * mp.log(t / (t + m)) - (x * mp.log(m / (t + m)) if x > 0 else 0)


def zero_inflated(mean: Any, inverse_dispersion: Any, zero_inflation_logits: Any, target: Any) -> Any:
    """0 with the probability of the logits, else of a negative binomial."""
    p = 1 / (1 + mp.exp(-zero_inflation_logits))
    loss = negative_binomial(mean, inverse_dispersion, target)
    return loss - mp.log(1 - p) if target > 0 else -mp.log(p + (1 - p) * mp.exp(-loss))


def log_normal(z: Any, mu: Any, scale: Any) -> Any:
    """Of a Gaussian."""
    return -((z - mu) ** 2 * mp.exp(-scale) + scale + mp.log(2 * mp.pi)) / 2


def results(definition: Definition, tensors: Mapping[str, Tensor], wanted: tuple[str, ...]) -> list[Tensor]:
    """The value and each derivative, rounded to float64: derivatives as central differences of `DIGITS` digits."""
    with mp.workdps(DIGITS):
        columns = {name: [mpmath.mpf(number) for number in tensor.tolist()] for name, tensor in tensors.items()}
        points = [dict(zip(columns, point, strict=True)) for point in zip(*columns.values(), strict=True)]
        found = [[definition(**point), *(_slope(definition, point, name) for name in wanted)] for point in points]
        rounded = [[float(number) for number in each] for each in zip(*found, strict=True)]
        return [torch.tensor(each, dtype=torch.float64) for each in rounded]


def _slope(definition: Definition, point: Mapping[str, Any], name: str) -> Any:
    step = _STEP * max(abs(point[name]), _STEP)
    above, below = (definition(**{**point, name: point[name] + sign * step}) for sign in (1, -1))
    return (above - below) / (2 * step)
