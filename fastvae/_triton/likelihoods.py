"""The reconstruction losses, one branch a loss: adding one touches this file only.

Values and gradients are torch's, special points included. `log_sigma` is None but for `gaussian_nll`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton.elementary import exp, log, log1m, log1p_unit, sigmoid


@triton.jit
def target_values(target, is_byte: tl.constexpr):
    """The target as numbers: a byte is read as value / 255, correctly rounded."""
    if not is_byte:
        return target
    elif target.dtype == tl.float64:
        return target / 255.0
    else:
        # 1 / 255 in two parts: the product with the first one, of 12 bits, is exact.
        return target * 0.0039215087890625 + target * 5.983839201917363e-08


@triton.jit
def _at_least(x, bound):
    """max(x, bound), NaN where x is NaN."""
    return tl.where(x < bound, bound, x)


@triton.jit
def loss(x, t, log_sigma, name: tl.constexpr, full: tl.constexpr):
    """The unreduced, unweighted loss."""
    if name == "binary_cross_entropy_with_logits":
        log_sigmoid = tl.where(x > 0.0, 0.0, x) - log1p_unit(exp(-tl.abs(x)))
        return (1.0 - t) * x - log_sigmoid
    elif name == "binary_cross_entropy":
        p = tl.where(x < 0.0, float("nan"), x)
        return (t - 1.0) * _at_least(log1m(p), -100.0) - t * _at_least(log(p), -100.0)
    elif name == "mse_loss":
        return (x - t) * (x - t)
    elif name == "l1_loss":
        return tl.abs(x - t)
    else:
        tl.static_assert(name == "gaussian_nll")
        r = (x - t) * exp(-log_sigma)
        value = (0.5 * r) * r + log_sigma
        if full:
            value += 0.91893853320467274178
        return value


@triton.jit
def input_slope(x, t, log_sigma, name: tl.constexpr):
    """d loss / d input."""
    if name == "binary_cross_entropy_with_logits":
        return sigmoid(x) - t
    elif name == "binary_cross_entropy":
        slope = (x - t) / _at_least((1.0 - x) * x, 1e-12)
        return tl.where((x < 0.0) | (x > 1.0), float("nan"), slope)
    elif name == "mse_loss":
        return 2.0 * (x - t)
    elif name == "l1_loss":
        return tl.where(x > t, 1.0, tl.where(x < t, -1.0, x - t))  # 0 at a tie, NaN at NaN
    else:
        inverse = exp(-log_sigma)
        return ((x - t) * inverse) * inverse


@triton.jit
def target_slope(x, t, log_sigma, name: tl.constexpr):
    """d loss / d target."""
    if name == "binary_cross_entropy_with_logits":
        return -x
    elif name == "binary_cross_entropy":
        return log1m(x) - log(x)
    else:
        return -input_slope(x, t, log_sigma, name)


@triton.jit
def log_sigma_slope(x, t, log_sigma):
    """d loss / d log sigma of `gaussian_nll`."""
    r = (x - t) * exp(-log_sigma)
    return 1.0 - r * r
