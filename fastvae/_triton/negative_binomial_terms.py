"""The negative binomial at one element: loss and derivatives, from terms that do not cancel.

The formula, and where it is from: `fastvae.reference.negative_binomial_nll`. Functions return the loss and its
derivatives by the mean (by its logarithm, where that is the input: `log`), by the inverse dispersion and, with zero
inflation, by its logit.
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl

from fastvae._triton.binet import binet
from fastvae._triton.elementary import constant_like
from fastvae._triton.exponential import exp, exp_less_one
from fastvae._triton.logarithm import curvature, log, log1p_deficit, split

# The logarithms of means beyond which t + m has lost the smaller of the two, in float32 and float64.
FAR_32: Final = tl.constexpr(40.0)
FAR_64: Final = tl.constexpr(60.0)


@triton.jit
def logarithm(e, one_plus_e):
    """(e - log(1 + e), log(1 + e)) with their relative accuracy at 0. 1 + e is neither denormal nor infinite."""
    if e.dtype == tl.float64:
        near = tl.abs(e) < 0.3
        small = log1p_deficit(tl.where(near, e, 0.0))
        value = tl.where(near, e - small, tl.log(one_plus_e))
        return tl.where(near, small, e - value), value
    else:
        f, exponent = split(one_plus_e.to(tl.int32, bitcast=True) & 0x7FFFFFFF)
        f = tl.where(exponent == 0, e, f)
        square = -(f * f) * curvature(f)
        n = exponent.to(tl.float32) * 2.0**-23
        linear = n * 0.693359375 + (n * -2.12194440e-4 + f)  # f itself where n is 0
        return (e - linear) + square, linear - square  # only the first is sure to be NaN where e is


@triton.jit
def of_zero(m, t, excess, log_input: tl.constexpr):
    """At x = 0, of the mean m e^excess: excess is 0, or m so large that t is nothing beside it."""
    r = m / t
    total = 1.0 + r
    inverse = 1.0 / total
    p = r * inverse
    lost = tl.where(r < 1.0, r - (total - 1.0), 1.0 - (total - r))
    deficit, value = logarithm(r, total)
    near = r < 0.3
    value = tl.where(near, value, value + lost * inverse) + excess  # log(1 + m / t)
    return t * value, t * p if log_input else inverse, tl.where(near, r * p - deficit, value - p)


@triton.jit
def of_count(x, m, t, excess, lack, log_input: tl.constexpr):
    """At x > 0, of the mean m e^(excess - lack): at most one is not 0, where t + m has lost the smaller of the two."""
    inverse = 1.0 / (t + m)
    over_t, over_x, total = 1.0 / t, 1.0 / x, t + x
    over_total = 1.0 / total
    d = x - m
    e = d * inverse
    ratio = total * inverse
    above, _ = logarithm(e, ratio)
    below, _ = logarithm(-(t * inverse) * (d * over_x), (m * over_x) * ratio)
    above += excess
    below += lack
    of_t, descent_of_t = binet(t, over_t)
    of_x, _ = binet(x, over_x)
    of_total, descent_of_total = binet(total, over_total)
    remainder = 0.5 * log(6.28318530717958647693 * x * (total * over_t)) + of_x
    loss = t * above + (x * below + (remainder + (of_t - of_total)))
    by_dispersion = above - (0.5 * x * over_t * over_total + (descent_of_t - descent_of_total))
    return loss, -t * e if log_input else -t * e / m, by_dispersion


@triton.jit
def _one_minus_exp(loss):
    """1 - e^-loss of a loss of at least 0."""
    e, u, _ = exp_less_one(-loss)
    return tl.where(loss <= 0.5, -u, 1.0 - e)


@triton.jit
def _odds(x):
    """sigmoid(x), sigmoid(-x) and e^-|x|."""
    e = exp(-tl.abs(x))
    larger = 1.0 / (1.0 + e)
    smaller = e * larger
    return tl.where(x < 0.0, smaller, larger), tl.where(x < 0.0, larger, smaller), e


@triton.jit
def inflated(zero, loss, by_mean, by_dispersion, q):
    """Of a zero, what is drawn with zero inflation; of a count, what is beside the terms of its own density."""
    inflation, complement, e = _odds(q)
    drawn, given, e_drawn = _odds(-loss - q)  # was the zero one of the negative binomial?
    outside = complement * _one_minus_exp(loss)  # 1 - p(0)
    near = outside <= 0.5
    far = (e - e_drawn) / (1.0 + e_drawn)
    z = tl.where(zero, tl.where(near, -outside, far), e)
    deficit, _ = logarithm(z, 1.0 + z)
    value = z - deficit
    at_zero = tl.where(near, -value, tl.where(-q < loss, -q, loss) + value)
    at_count = tl.where(q > 0.0, q, 0.0) + value
    by_logit = tl.where(zero, -outside * given, inflation)
    return tl.where(zero, at_zero, at_count), drawn * by_mean, drawn * by_dispersion, by_logit


@triton.jit
def negative_binomial(x, mean, t, q, log_input: tl.constexpr, inflates: tl.constexpr):
    """Everything at one element; q is not read where nothing `inflates`."""
    far: tl.constexpr = FAR_64 if mean.dtype == tl.float64 else FAR_32
    zero = x == 0.0
    if log_input:
        m = exp(tl.where(mean > far, far, mean))
        excess = tl.where(mean > far, mean - far, 0.0)
        lack = tl.where(mean < -far, -far - mean, 0.0)
        m_of_count = tl.where(mean < -far, exp(constant_like(mean, -far)), m)
    else:
        m = mean
        excess = constant_like(mean, 0.0)
        lack = excess
        m_of_count = m + 1e-8  # scvi-tools' eps
    zero_loss, zero_by_mean, zero_by_dispersion = of_zero(m, t, excess, log_input)
    count = tl.where(zero, 1.0, x)
    loss, by_mean, by_dispersion = of_count(count, m_of_count, t, excess, lack, log_input)
    by_logit = excess
    if inflates:
        zero_loss, zero_by_mean, zero_by_dispersion, by_logit = inflated(
            zero, zero_loss, zero_by_mean, zero_by_dispersion, q
        )
        loss += zero_loss
    loss = tl.where(zero, zero_loss, loss)
    by_mean = tl.where(zero, zero_by_mean, by_mean)
    return loss, by_mean, tl.where(zero, zero_by_dispersion, by_dispersion), by_logit
