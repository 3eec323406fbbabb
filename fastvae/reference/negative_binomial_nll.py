"""The negative binomial likelihood of counts and its zero-inflated form, without a difference of large numbers.

scvi-tools' parameters: the mean m and the inverse dispersion t, of variance m + m^2 / t. Its ``log_nb_positive`` and
``log_zinb_positive`` subtract lgamma(t) from lgamma(t + x), of which float32 keeps no digit where t is 1e6. Here the
loss is half the deviance and a remainder, as in the saddle-point expansion of Loader (2000), "Fast and accurate
computation of binomial probabilities": with d = x - m, g(e) = e - log(1 + e) and Binet's function
J(y) = lgamma(y) - (y - 1/2) log y + y - log(2 pi) / 2,

    x > 0:  t g(d / (t + m)) + x g(-t d / (x (t + m))) + log(2 pi x (1 + x / t)) / 2 + J(x) + J(t) - J(t + x)
    x = 0:  t log(1 + m / t)

in which all terms are positive. Ratios are written so that their derivatives do not cancel either.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

from fastvae.reference import _common

_EPS = 1e-8
"""scvi-tools': what is added to the mean where its logarithm is taken."""

_FAR = {torch.float32: 40.0, torch.float64: 60.0}
"""Logarithms of means in whose sums with t nothing is left of the smaller number, and of whose reciprocals likewise."""

_BINET = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def _deficit(e: Tensor, one_plus_e: Tensor) -> Tensor:
    """g(e) = e - log(1 + e), with its relative accuracy at 0 and at -1."""
    near = e.abs() < 0.3
    small = torch.where(near, e, 0)
    w = small / (2 + small)
    square = w.square()
    tail = torch.zeros_like(e)
    for power in range(23, 1, -2):
        tail = tail * square + 1 / power
    return torch.where(near, w * small - 2 * w * square * tail, e - torch.log(torch.where(near, 1, one_plus_e)))


def _binet_step(y: Tensor) -> Tensor:
    """J(y) - J(y + 1) = (y + 1/2) log(1 + 1/y) - 1 for y >= 1, as a series in 1 / (2 y + 1)."""
    square = (2 * y + 1).reciprocal().square()
    tail = torch.zeros_like(y)
    for power in range(35, 1, -2):
        tail = (tail + 1 / power) * square
    return tail


def _binet(y: Tensor) -> Tensor:
    """J(y): the steps that lead to an argument of 8 or more, and Stirling's series there."""
    below = y < 1
    small = torch.where(below, y, 0.5)
    total = torch.where(below, (small + 0.5) * (torch.log1p(small) - small.log()) - 1, 0)
    y = torch.where(below, y + 1, y)
    for _ in range(7):
        total = total + _binet_step(y)
        y = y + 1
    inverse = y.reciprocal()
    square, series = inverse.square(), torch.zeros_like(y)
    for coefficient in reversed(_BINET):
        series = series * square + coefficient
    return total + series * inverse


def _of_zero(m: Tensor, t: Tensor, excess: Tensor) -> Tensor:
    """t log(1 + m e^excess / t), excess 0 or so large that the 1 is nothing."""
    ratio = m / t
    near = ratio < 0.3
    small = torch.where(near, ratio, 0)
    return torch.where(near, m - t * _deficit(small, 1 + small), t * torch.log1p(ratio)) + t * excess


def _of_count(x: Tensor, m: Tensor, t: Tensor, excess: Tensor, lack: Tensor) -> Tensor:
    """The loss at x > 0 of the mean m e^(excess - lack), of which at most one is not 0."""
    d, total, over_t = x - m, t + m, x / t
    above = _deficit(d / total, (t + x) / total) + excess
    below = _deficit(-(d / x) / (1 + m / t), (m / x) * ((t + x) / total)) + lack
    remainder = 0.5 * (torch.log(2 * math.pi * x) + torch.log1p(over_t)) + _binet(x) + (_binet(t) - _binet(t + x))
    return t * above + x * below + remainder


def _inflated_zero(loss: Tensor, q: Tensor) -> Tensor:
    """-log(p + (1 - p) e^-loss), p = sigmoid(q)."""
    # Each factor in the form whose derivative is not a difference.
    complement = torch.where(q < 0, torch.exp(-torch_functional.softplus(q)), torch.sigmoid(-q))
    close = loss < 0.5
    outside = complement * torch.where(close, -torch.expm1(-torch.where(close, loss, 0)), 1 - torch.exp(-loss))
    near = outside <= 0.5
    far_q, far_loss = torch.where(near, 0, q), torch.where(near, 0, loss)
    far = torch_functional.softplus(far_q) - torch.logaddexp(far_q, -far_loss)
    return torch.where(near, -torch.log1p(-torch.where(near, outside, 0)), far)


def negative_binomial_nll(
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    *,
    zero_inflation_logits: Tensor | None = None,
    log_input: bool = False,
    weight: Tensor | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> Tensor:
    m, x, t = (_common.upcast(value, mean) for value in (mean, target, inverse_dispersion))
    zero = x == 0
    count = torch.where(zero, 1, x)
    if log_input:
        far = _FAR[m.dtype]
        excess, lack = torch.relu(m - far), torch.relu(-far - m)
        at_zero = _of_zero(m.clamp(max=far).exp(), t, excess)
        at_count = _of_count(count, m.clamp(-far, far).exp(), t, excess, lack)
    else:
        none = torch.zeros_like(m)
        at_zero = _of_zero(m, t, none)
        at_count = _of_count(count, m + _EPS, t, none, none)
    if zero_inflation_logits is not None:
        q = _common.upcast(zero_inflation_logits, mean)
        at_zero = _inflated_zero(torch.where(zero, at_zero, 0), torch.where(zero, q, 0))
        at_count = at_count + torch_functional.softplus(q)
    loss = torch.where(zero, at_zero, at_count)
    if weight is not None:
        loss = loss * _common.upcast(weight, mean)
    return _common.reduce(loss, reduction, batch_dims)
