"""One level under one discretized logistic, and its derivatives: the mathematics of the mixture on the device.

The level x of a channel, of width 2 H, has the probability sigma(p) - sigma(q) with p, q = (x - mean +- H) / scale.
With u = abs(x - mean) / scale, h = H / scale, a = e^-u and b = e^-h it is ``a (1 - b^2) / ((1 + a b) (a + b))``, and
where the level has all that lies beyond an edge, too, ``1 / (1 + a b)`` if the mean lies on that side, else
``a / (a + b)``. Nothing cancels, and a probability needs two exponentials.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton.exponential import exp


@triton.jit
def _decay(x):
    """e^-x and 1 - e^-x of x from 0 to 80; up to 300 in float64."""
    if x.dtype == tl.float64:
        # (e^y - 1) y / ln(e^y) as Kahan has it: e^y is rounded, but the quotient gives that back.
        left = tl.exp(-x)
        near = (left > 0.5) & (left < 1.0)
        given_back = (left - 1.0) * (x / tl.log(tl.where(near, left, 0.5)))
        return left, tl.where(near, given_back, tl.where(left < 1.0, 1.0 - left, x))
    else:
        shifted = x * -1.44269504 + 12582912.0
        k = shifted - 12582912.0
        r = (-x - k * 0.693359375) - k * -2.12194440e-4
        p = r * 1.9875691500e-4 + 1.3981999507e-3
        p = p * r + 8.3334519073e-3
        p = p * r + 4.1665795894e-2
        p = p * r + 1.6666665459e-1
        p = p * r + 5.0000001201e-1
        u = p * (r * r) + r
        scale = ((shifted.to(tl.int32, bitcast=True) - 0x4B400000 + 127) << 23).to(tl.float32, bitcast=True)
        return scale + scale * u, (1.0 - scale) - scale * u


@triton.jit
def quotient(x, y):
    """x / y, correctly rounded."""
    if x.dtype == tl.float64:
        return x / y
    else:
        return tl.div_rn(x, y)


@triton.jit
def level(x, mean, raw, half):
    """(exponent, factor, derivatives by mean and log scale): the log-probability is exponent + log(factor)."""
    # Beyond these nothing changes in the last place, while products of three channels stay in range.
    double: tl.constexpr = x.dtype == tl.float64
    most_u: tl.constexpr = 300.0 if double else 43.0
    most_h: tl.constexpr = 300.0 if double else 80.0
    shared: tl.constexpr = 40.0 if double else 24.0
    wide_log_scale: tl.constexpr = 45.0 if double else 16.0
    least_inverse: tl.constexpr = 2.8625185805493937e-20 if double else 1.12535175e-7

    clamped = raw < -7.0
    log_scale = tl.where(clamped, -7.0, raw)
    inverse, centered = exp(-log_scale), x - mean
    far, wide = tl.abs(centered) * inverse, half * tl.where(inverse < least_inverse, least_inverse, inverse)
    # Both shrink alike where both are large: then only their difference counts.
    shift = tl.where(far < wide, far, wide) - shared
    shift = tl.where(shift < 0.0, 0.0, shift)
    u, h = far - shift, wide - shift
    a, a_lost = _decay(tl.where(u > most_u, most_u, u))
    b, b_lost = _decay(tl.where(h > most_h, most_h, h))
    product, total = a * b, a + b
    one = 1.0 + product
    inside = b_lost * (1.0 + b)  # 1 - b^2
    # A level that reaches beyond -1 or 1.
    low, high = x < half - 1.0, x > 1.0 - half
    edge, below = low | high, centered < 0.0
    near = tl.where(below, high, low)
    # Derivatives with respect to u, h and, through 1 - b^2, h again: quotients, which are exact far out.
    both, towards, away = one * total, product * total, b * one
    within = b * (a_lost * (1.0 + a))
    of_u = quotient(tl.where(edge, tl.where(near, towards, -away), -within), both)
    of_h = quotient(tl.where(edge, tl.where(near, towards, away), towards + away), both)
    of_inside = tl.where(edge, 0.0, quotient(2.0 * h * (b * b), inside))
    slope = inverse * of_u
    excess = wide_log_scale - log_scale
    exponent = tl.where(edge, tl.where(near, 0.0, -u), tl.where(excess < 0.0, excess, 0.0) - u)
    factor = quotient(tl.where(edge, tl.where(near, total, one), inside), both)
    of_log_scale = tl.where(clamped, 0.0, -(far * of_u + wide * of_h + of_inside))
    return exponent, factor, tl.where(below, slope, -slope), of_log_scale


@triton.jit
def tanh(k):
    """tanh k, and its derivative."""
    magnitude = 2.0 * tl.abs(k)
    left, lost = _decay(tl.where(magnitude > 43.0, 43.0, magnitude))
    t = quotient(lost, 1.0 + left)
    return tl.where(k < 0.0, -t, t), 1.0 - t * t
