"""The pointwise reconstruction losses, one function each, and the table of them: all that Triton says of a likelihood.

A function takes input, target and log sigma (any value where the loss has none) and returns the loss, which `full`
normalizes, and its derivatives by the three; the compiler removes what a kernel does not use. Values and gradients are
torch's, special points included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import triton
import triton.language as tl

from fastvae._triton.binet import log_factorial
from fastvae._triton.elementary import constant_like, reciprocal
from fastvae._triton.exponential import exp, fast_exp_of_negative
from fastvae._triton.logarithm import log, log1m, log1p_unit, log_of_complement, log_of_probability
from fastvae._triton.logistic import sigmoid_of_exp


@triton.jit
def pixel(byte):
    """byte / 255, correctly rounded."""
    if byte.dtype == tl.float64:
        return byte / 255.0
    else:
        # 1 / 255 in two parts: the product with the first one, of 12 bits, is exact.
        return byte * 0.0039215087890625 + byte * 5.983839201917363e-08


@triton.jit
def binary_cross_entropy_with_logits(x, t, log_sigma, full: tl.constexpr):
    e = fast_exp_of_negative(-tl.abs(x))
    log_sigmoid = tl.minimum(x, 0.0) - log1p_unit(e)
    return (1.0 - t) * x - log_sigmoid, sigmoid_of_exp(x, e) - t, -x, constant_like(x, 0.0)


@triton.jit
def binary_cross_entropy(x, t, log_sigma, full: tl.constexpr):
    log_p, log_q = tl.maximum(log_of_probability(x), -100.0), tl.maximum(log_of_complement(x), -100.0)
    variance = tl.fma(-x, x, x)
    t = tl.where(variance >= 0.0, t, float("nan"))  # where x is no probability
    loss = (t - 1.0) * log_q - t * log_p
    slope = (x - t) * reciprocal(tl.maximum(variance, 1e-12))
    return loss, slope, log1m(x) - log(x), constant_like(x, 0.0)


@triton.jit
def mse_loss(x, t, log_sigma, full: tl.constexpr):
    slope = 2.0 * (x - t)
    return (x - t) * (x - t), slope, -slope, constant_like(x, 0.0)


@triton.jit
def l1_loss(x, t, log_sigma, full: tl.constexpr):
    slope = tl.where(x > t, 1.0, tl.where(x < t, -1.0, x - t))  # 0 at a tie, NaN at NaN
    return tl.abs(x - t), slope, -slope, constant_like(x, 0.0)


@triton.jit
def gaussian_nll(x, t, log_sigma, full: tl.constexpr):
    inverse = exp(-log_sigma)
    r = (x - t) * inverse
    loss = (0.5 * r) * r + log_sigma
    if full:
        loss += 0.91893853320467274178
    slope = r * inverse
    return loss, slope, -slope, 1.0 - r * r


@triton.jit
def poisson_nll(x, t, log_sigma, full: tl.constexpr):
    rate = exp(x)
    loss = rate - t * x
    if full:
        loss += log_factorial(t)
    return loss, rate - t, constant_like(x, 0.0), constant_like(x, 0.0)


@triton.jit
def poisson_nll_of_rate(x, t, log_sigma, full: tl.constexpr):
    raised = x + 1e-8
    loss = x - t * log(raised)
    if full:
        loss += log_factorial(t)
    return loss, 1.0 - t / raised, constant_like(x, 0.0), constant_like(x, 0.0)


LIKELIHOODS: Final[dict[str, Callable[..., Any]]] = {
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "binary_cross_entropy": binary_cross_entropy,
    "mse_loss": mse_loss,
    "l1_loss": l1_loss,
    "gaussian_nll": gaussian_nll,
    "poisson_nll": poisson_nll,
    "poisson_nll_of_rate": poisson_nll_of_rate,
}
