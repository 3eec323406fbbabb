"""The elementary functions of the CPU kernels, seen through the public ops, and what each may be off."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

import fastvae.functional as F

Function = Callable[[Tensor], Tensor]
INF, NAN = math.inf, math.nan
LARGEST, TINIEST = (2 - 2.0**-23) * 2.0**127, 2.0**-149  # the float32 values next to infinity and to 0
FINITE = (-LARGEST, LARGEST)
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Elementary(NamedTuple):
    """A function of one float32: through fastvae, in float64, the ulp it may be off, and torch's own if torch has it.

    The bound is the largest error among all float32 near where errors are largest, rounded up to half an ulp.
    `domain` is where the formula means something in float32; NaN is always in it. Where there is a `magnitude`, units
    are of the larger of it and the value. Where it is `flushed`, values too small for float32 are 0; where it
    `overflows`, those above 2^127 may be infinity.
    """

    call: Function
    exact: Function
    ulp: float
    own: Function | None = None
    domain: tuple[float, float] = (-INF, INF)
    magnitude: Function = torch.zeros_like
    flushed: bool = False
    overflows: bool = False


def slope(function: Function) -> Function:
    def call(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x).sum(), x)[0]

    return call


def sigma(parameterization: str) -> Function:
    return lambda x: F.reparameterize(torch.zeros_like(x), x, parameterization=parameterization, eps=torch.ones_like(x))


def divergence(parameterization: str) -> Function:
    return lambda x: F.gaussian_kl(torch.zeros_like(x), x, parameterization=parameterization, reduction="none")


def entropy(loss: Callable[..., Tensor], target: float, sign: int = 1) -> Function:
    return lambda x: loss(sign * x, torch.full_like(x, target), reduction="none")


def total_entropy(x: Tensor) -> Tensor:
    """Its gradient is written by the forward pass."""
    return F.binary_cross_entropy_with_logits(x, torch.zeros_like(x), reduction="sum")


def precision(x: Tensor) -> Tensor:
    """1 / sigma^2 where log sigma^2 is -x: the gradient of a log-density by its mean, one away from it."""
    mean = torch.zeros_like(x).requires_grad_()
    return torch.autograd.grad(F.log_normal(torch.ones_like(x), mean, -x, reduction="none").sum(), mean)[0]


def squared_precision(x: Tensor) -> Tensor:
    mean = torch.zeros_like(x).requires_grad_()
    return torch.autograd.grad(F.gaussian_nll(mean, mean.detach() - 1, -0.5 * x, reduction="sum"), mean)[0]


def density_at_the_mean(variance: Tensor) -> Tensor:
    zero = torch.zeros_like(variance)
    return F.log_normal(zero, zero, variance, parameterization="variance", reduction="none")


def pair_bound(x: Tensor) -> Tensor:
    return F.importance_weighted_bound(torch.stack([x, torch.zeros_like(x)]))


def softplus(x: Tensor) -> Tensor:
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


def sigmoid(x: Tensor) -> Tensor:
    e = torch.exp(-x.abs())
    return torch.where(x < 0, e, 1.0) / (1 + e)


def half_exp(x: Tensor) -> Tensor:
    return torch.exp(x / 2)


def information(p: Tensor) -> Tensor:
    """-log p, bounded as torch bounds it."""
    return -torch.log(p).clamp(min=-100)


def half(function: Function) -> Function:
    return lambda x: function(x) / 2


def log_of_sum(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


def remainder(x: Tensor) -> Tensor:
    """e^x - 1 - x: its power series where the difference would cancel."""
    result, near = torch.expm1(x) - x, x.abs() < 0.5
    small, series = x[near], torch.zeros_like(x[near])
    for power in range(16, 2, -1):
        series = (1 + series) * small / power
    result[near] = (1 + series) * small * (small / 2)
    return result


def deficit(r: Tensor) -> Tensor:
    """r - 1 - log r, the same."""
    d = r - 1
    result, near = d - torch.log(r), d.abs() < 0.5
    small, series = d[near], torch.zeros_like(d[near])
    for power in range(60, 1, -1):
        series = 1 / power - small * series
    result[near] = small * series * small
    return result


BCE, BCE_LOGITS = F.binary_cross_entropy, F.binary_cross_entropy_with_logits
OWN_BCE, OWN_LOGITS = torch_functional.binary_cross_entropy, torch_functional.binary_cross_entropy_with_logits
FUNCTIONS: dict[str, Elementary] = {
    "exp: sigma of log_std": Elementary(sigma("log_std"), torch.exp, 1.5, torch.exp, flushed=True),
    "exp: sigma of logvar": Elementary(sigma("logvar"), half_exp, 1.5, half_exp, flushed=True),
    "exp: slope of sigma": Elementary(slope(sigma("log_std")), torch.exp, 1.5, torch.exp, flushed=True),
    "exp: precision": Elementary(precision, torch.exp, 1.5, torch.exp, flushed=True),
    "exp: squared precision": Elementary(squared_precision, torch.exp, 3, domain=(-87, INF)),
    "sqrt: sigma of variance": Elementary(sigma("variance"), torch.sqrt, 0.5, torch.sqrt),
    "softplus: sigma": Elementary(sigma("softplus"), softplus, 3, log_of_sum, flushed=True),
    "softplus: loss": Elementary(
        entropy(BCE_LOGITS, 1, -1), softplus, 3, entropy(OWN_LOGITS, 1, -1), domain=FINITE, flushed=True
    ),
    # (1 - t) x - log sigmoid(x), as torch: for negative x a difference of numbers of the size of x.
    "softplus: loss, target 0": Elementary(
        entropy(BCE_LOGITS, 0), softplus, 3.5, entropy(OWN_LOGITS, 0), domain=FINITE, magnitude=torch.abs
    ),
    "sigmoid: slope of sigma": Elementary(slope(sigma("softplus")), sigmoid, 3, torch.sigmoid, flushed=True),
    "sigmoid: slope of the loss": Elementary(slope(entropy(BCE_LOGITS, 0)), sigmoid, 3, torch.sigmoid, flushed=True),
    "sigmoid: slope of the sum": Elementary(slope(total_entropy), sigmoid, 3, torch.sigmoid, flushed=True),
    "log: loss": Elementary(entropy(BCE, 1), information, 1, entropy(OWN_BCE, 1), domain=(0.0, 1.0)),
    "log1p: loss": Elementary(
        entropy(BCE, 0), lambda p: -torch.log1p(-p).clamp(min=-100), 1.5, entropy(OWN_BCE, 0), domain=(0.0, 1.0)
    ),
    # The reciprocal of a smaller variance overflows: the kernel multiplies by it where the reference divides.
    "log: density": Elementary(
        density_at_the_mean,
        lambda v: -0.5 * torch.log(v) - HALF_LOG_TWO_PI,
        1.5,
        domain=(2.0**-127, INF),
        magnitude=torch.ones_like,
    ),
    "log of exponentials: bound": Elementary(
        pair_bound, lambda x: softplus(x) - math.log(2), 1.5, domain=FINITE, magnitude=torch.ones_like
    ),
    # Three forms of r - 1 - log r.
    "KL of logvar": Elementary(divergence("logvar"), half(remainder), 3.5, overflows=True),
    "KL of log_std": Elementary(
        divergence("log_std"), lambda s: half(remainder)(2 * s), 3.5, domain=(-1e38, 1e38), overflows=True
    ),
    "KL of variance": Elementary(divergence("variance"), half(deficit), 4.5, domain=(0.0, INF)),
    "KL of variance, near": Elementary(divergence("variance"), half(deficit), 3, domain=(0.61, 1.39)),
    # 5.63 over every 251st float, at 1.127: the KL is of second order in sigma^2 - 1 and doubles its relative error.
    "KL of std": Elementary(divergence("std"), lambda s: half(deficit)(s * s), 6, domain=(2.0**-63, 2.0**63)),
    "KL of std, near": Elementary(divergence("std"), lambda s: half(deficit)(s * s), 5, domain=(0.78, 1.18)),
    "slope of the KL": Elementary(slope(divergence("logvar")), half(torch.expm1), 2, overflows=True),
}

EXP = {-INF: 0, -104.0: 0, -87.34: 0, 0.0: 1, TINIEST: 1, 88.73: INF, 104.0: INF, INF: INF, NAN: NAN}
SOFTPLUS = {-LARGEST: 0, -104.0: 0, 104.0: 104, 2.0**31: 2.0**31, LARGEST: LARGEST, NAN: NAN}
SIGMOID = {-INF: 0, -104.0: 0, 0.0: 0.5, TINIEST: 0.5, 20.0: 1, INF: 1, NAN: NAN}
# Exact values. They include those that torch has and mathematics has not.
SPECIAL: dict[str, dict[float, float]] = {
    "exp: sigma of log_std": EXP,
    "exp: sigma of logvar": {2 * x: y for x, y in EXP.items()},
    "exp: slope of sigma": EXP,
    "exp: precision": EXP,
    "sqrt: sigma of variance": {0.0: 0, 2.0**-148: 2.0**-74, 4.0: 2, INF: INF, -TINIEST: NAN, NAN: NAN},
    "softplus: sigma": {-INF: 0, INF: INF, **SOFTPLUS},
    "softplus: loss": {-INF: NAN, INF: NAN, **SOFTPLUS},
    "softplus: loss, target 0": {-INF: NAN, INF: INF, **SOFTPLUS},
    "sigmoid: slope of sigma": SIGMOID,
    "sigmoid: slope of the loss": SIGMOID,
    "sigmoid: slope of the sum": SIGMOID,
    "log: loss": {0.0: 100, TINIEST: 100, 1.0: 0, -TINIEST: NAN, 1.5: NAN, INF: NAN, NAN: NAN},
    "log1p: loss": {0.0: 0, TINIEST: TINIEST, 1.0: 100, -TINIEST: NAN, 1.5: NAN, INF: NAN, NAN: NAN},
    "log: density": {-1.0: NAN, INF: -INF, NAN: NAN},
    "log of exponentials: bound": {0.0: 0, INF: INF, LARGEST: LARGEST, NAN: NAN},
    "KL of logvar": {-INF: INF, 0.0: 0, -TINIEST: 0, 100.0: INF, NAN: NAN},
    "KL of log_std": {-INF: INF, 0.0: 0, TINIEST: 0, 50.0: INF, NAN: NAN},
    "KL of variance": {0.0: INF, 1.0: 0, -1.0: NAN, NAN: NAN},
    "KL of std": {0.0: INF, 1.0: 0, -1.0: 0, NAN: NAN},
    "slope of the KL": {-INF: -0.5, 0.0: 0, 100.0: INF, INF: INF, NAN: NAN},
}
