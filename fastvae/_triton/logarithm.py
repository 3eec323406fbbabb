"""ln x, and what is near it, in the accuracy of float32 or float64. Single precision is split as in Cephes (Moshier).

None has a data-dependent branch; NaN in gives NaN out, but where said.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton.elementary import SHRINK_32, SHRINK_64, constant_like


@triton.jit
def split(bits):
    """(f, exponent) of the float32 of `bits`, whose exponent may be beyond those that float32 has.

    1 + f, in [sqrt(1/2), sqrt(2)), is the number without the exponent, which stays where it is in the bits.
    """
    exponent = (bits - 0x3F3504F3) & -0x800000
    return (bits - exponent).to(tl.float32, bitcast=True) - 1.0, exponent


@triton.jit
def curvature(f):
    """(ln(1 + f) - f) / f^2 for 1 + f in [sqrt(1/2), sqrt(2)), of float32."""
    # The least relative error of the logarithm that eight coefficients leave, 0.11 units in the last place.
    p = f * -0.07634494 + 0.12761576
    p = p * f + -0.13160183
    p = p * f + 0.14201759
    p = p * f + -0.16623357
    p = p * f + 0.20001227
    p = p * f + -0.2500082
    p = p * f + 0.3333333
    return p * f + -0.5


@triton.jit
def _log_of_split(f, exponent):
    """ln((1 + f) 2^k), `exponent` being k where a float32 has it in its bits."""
    # ln 2 has as many bits in float32 as in 28.
    ln2 = constant_like(f, 0.693147180559945309 * 2.0**-23)
    return tl.fma(exponent.to(tl.float32), ln2, tl.fma(curvature(f), f * f, f))


@triton.jit
def log(x):
    """ln x."""
    if x.dtype == tl.float64:
        return tl.log(x)
    else:
        denormal = x < 2.0**-126
        normal = tl.where(denormal, x * 16777216.0, x).to(tl.int32, bitcast=True)
        f, exponent = split(normal - tl.where(denormal, 24 << 23, 0))
        y = _log_of_split(f, exponent)
        y = tl.where(x == float("inf"), x, y)
        return tl.where(x > 0.0, y, tl.where(x == 0.0, -float("inf"), float("nan")))


@triton.jit
def log_of_probability(x):
    """ln x for x in [0, 1], at 0 some number below -100; no number that means anything for any other x."""
    if x.dtype == tl.float64:
        return tl.where(x == 0.0, -1e4, tl.log(x))
    else:
        f, exponent = split((x * 4294967296.0).to(tl.int32, bitcast=True) - (32 << 23))
        return _log_of_split(f, exponent)


@triton.jit
def log_of_complement(x):
    """ln(1 - x) for x in [0, 1], as `log_of_probability`."""
    if x.dtype == tl.float64:
        return tl.where(x == 1.0, -1e4, log1m(x))
    else:
        _, exponent = split(tl.fma(x, -4294967296.0, 4294967296.0).to(tl.int32, bitcast=True) - (32 << 23))
        # (1 - x) 2^-k - 1 rounded once, which 1 - x may not be: where k is 0 it is -x.
        scale = (0x3F800000 - exponent).to(tl.float32, bitcast=True)
        return _log_of_split(tl.fma(-x, scale, scale - 1.0), exponent)


@triton.jit
def log_quotient(a, b):
    """ln(a / b) of positive numbers, also where the quotient vanishes."""
    shrink: tl.constexpr = SHRINK_64 if a.dtype == tl.float64 else SHRINK_32
    log_of_square: tl.constexpr = -709.782712893384 if a.dtype == tl.float64 else -88.72283911167299671
    small = a < b * shrink
    y = log(tl.where(small, a * (1.0 / shrink), a) / tl.where(small, b * shrink, b))
    return tl.where(small, y + log_of_square, y)


@triton.jit
def log1p_unit(x):
    """ln(1 + x) for x in [0, 1]."""
    if x.dtype == tl.float64:
        return _log1p_series(x)
    else:
        # Interpolates log1p(x) / x at Chebyshev nodes; the relative error is 1.3 units in the last place.
        p = x * -0.0031760570128 + 0.019542526454
        p = p * x + -0.056373611093
        p = p * x + 0.10543623567
        p = p * x + -0.1526966691
        p = p * x + 0.19663274288
        p = p * x + -0.2495161593
        p = p * x + 0.33329710364
        p = p * x + -0.49999892712
        return (p * x) * x + x


@triton.jit
def _atanh_tail(square, terms: tl.constexpr):
    """1/3 + s/5 + s^2/7 + ..., so that atanh w = w + w s tail(s) with s = w^2."""
    y = constant_like(square, 1.0 / (2 * terms + 1))
    for j in tl.static_range(terms - 1, 0, -1):
        y = y * square + 1.0 / (2 * j + 1)
    return y


@triton.jit
def _log1p_series(x):
    """ln(1 + x) = 2 atanh(x / (2 + x)) for x in [-0.4, 1]."""
    terms: tl.constexpr = 17 if x.dtype == tl.float64 else 8
    w = x / (2.0 + x)
    square = w * w
    return 2.0 * (w + w * square * _atanh_tail(square, terms))


@triton.jit
def log1m(x):
    """ln(1 - x) for x in [0, 1]; NaN above 1."""
    return tl.where(x <= 0.4, _log1p_series(tl.where(x <= 0.4, -x, 0.0)), log(1.0 - x))


@triton.jit
def log1p_deficit(x):
    """x - ln(1 + x), relative to its own size of x^2 / 2, for x from -0.5 to 1; in float64 for |x| <= 0.4."""
    terms: tl.constexpr = 15 if x.dtype == tl.float64 else 7
    w = x / (2.0 + x)
    square = w * w
    return w * x - 2.0 * (w * square) * _atanh_tail(square, terms)
