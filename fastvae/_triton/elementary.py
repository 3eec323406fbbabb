"""Elementary functions that keep float32's accuracy, which Triton's own approximations on a GPU do not.

Single precision follows Cephes (Moshier), double precision Triton's own functions. None has a data-dependent
branch; NaN in gives NaN out.
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl

# Powers of two for float32 and float64: a value of any size times one of them may be squared.
SHRINK_32: Final = tl.constexpr(2.0**-64)
SHRINK_64: Final = tl.constexpr(2.0**-512)


@triton.jit
def constant_like(x, value: tl.constexpr):
    """`value` in the shape and dtype of x, whatever x holds."""
    return tl.full(x.shape, value, x.dtype)


@triton.jit
def sqrt(x):
    """The correctly rounded square root."""
    if x.dtype == tl.float64:
        return tl.sqrt(x)
    else:
        return tl.sqrt_rn(x)


@triton.jit
def log_polynomial(f, exponent):
    """ln((1 + f) 2^exponent) for 1 + f in [sqrt(1/2), sqrt(2)), in IEEE additions and multiplications only."""
    p = f * 7.0376836292e-2 + -1.1514610310e-1
    p = p * f + 1.1676998740e-1
    p = p * f + -1.2420140846e-1
    p = p * f + 1.4249322787e-1
    p = p * f + -1.6668057665e-1
    p = p * f + 2.0000714765e-1
    p = p * f + -2.4999993993e-1
    p = p * f + 3.3333331174e-1
    square = f * f
    y = (p * f) * square
    y = y + exponent * -2.12194440e-4
    y = y - 0.5 * square
    return (f + y) + exponent * 0.693359375


@triton.jit
def split_exponent(bits):
    """The float32 of `bits` as (f, exponent), value = (1 + f) 2^exponent with 1 + f in [sqrt(1/2), sqrt(2))."""
    exponent = (bits - 0x3F3504F3) >> 23
    f = (bits - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    return f, exponent


@triton.jit
def log(x):
    """ln x."""
    if x.dtype == tl.float64:
        return tl.log(x)
    else:
        denormal = x < 1.17549435e-38
        normal = tl.where(denormal, x * 16777216.0, x)
        f, exponent = split_exponent(normal.to(tl.int32, bitcast=True))
        y = log_polynomial(f, (exponent - tl.where(denormal, 24, 0)).to(tl.float32))
        y = tl.where(x == float("inf"), x, y)
        return tl.where(x > 0.0, y, tl.where(x == 0.0, -float("inf"), float("nan")))


@triton.jit
def _split_exp(x):
    """(y, k) with e^x = y 2^k and y near 1, of a float32 between -180 and 180."""
    # Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
    shifted = x * 1.44269504 + 12582912.0
    k = shifted - 12582912.0
    r = (x - k * 0.693359375) - k * -2.12194440e-4
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    return (p * (r * r) + r) + 1.0, shifted.to(tl.int32, bitcast=True) - 0x4B400000


@triton.jit
def _power_of_two(k):
    return ((k + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def log_quotient(a, b):
    """ln(a / b) of positive numbers, also where the quotient vanishes."""
    shrink: tl.constexpr = SHRINK_64 if a.dtype == tl.float64 else SHRINK_32
    log_of_square: tl.constexpr = -709.782712893384 if a.dtype == tl.float64 else -88.72283911167299671
    small = a < b * shrink
    y = log(tl.where(small, a * (1.0 / shrink), a) / tl.where(small, b * shrink, b))
    return tl.where(small, y + log_of_square, y)


@triton.jit
def exp(x):
    """e^x; 0 below 2^-125, where float32 would turn denormal."""
    if x.dtype == tl.float64:
        return tl.exp(x)
    else:
        bounded = tl.where(x > 88.7228, 88.7228, tl.where(x < -86.6, -86.6, x))
        y, k = _split_exp(bounded)
        y = (y * _power_of_two(k - 1)) * 2.0
        return tl.where(x > 88.7228, float("inf"), tl.where(x < -86.6, 0.0, y))


@triton.jit
def times_exp(value, x):
    """value e^x, also where e^x alone is beyond the range of the dtype."""
    most: tl.constexpr = 1400.0 if x.dtype == tl.float64 else 176.0
    x = tl.where(x > most, most, tl.where(x < -most, -most, x))
    if x.dtype == tl.float64:
        near = tl.where(x > 700.0, 700.0, tl.where(x < -700.0, -700.0, x))
        return (value * tl.exp(near)) * tl.exp(x - near)
    else:
        y, k = _split_exp(x)
        half = k >> 1
        return (value * (y * _power_of_two(half))) * _power_of_two(k - half)


@triton.jit
def square_times_exp(value, x):
    """value^2 e^x, also where neither factor is in the range of the dtype; rounded less than `times_exp` squared."""
    if x.dtype == tl.float64:
        root = times_exp(value, 0.5 * x)
        return root * root
    else:
        y, k = _split_exp(tl.where(x > 176.0, 176.0, tl.where(x < -178.0, -178.0, x)))
        # Half of the least powers is beyond those that float32 has in full.
        far = k < -250
        value = tl.where(far, 0.25 * value, value)
        k = tl.where(far, k + 4, k)
        half = k >> 1
        return ((value * _power_of_two(half)) * (value * _power_of_two(k - half))) * y


@triton.jit
def exp_remainder(x):
    """e^x - 1 - x for |x| <= 1/2, by its series: the relative error stays that of one rounding."""
    terms: tl.constexpr = 15 if x.dtype == tl.float64 else 9
    y = constant_like(x, 1.0)
    for j in tl.static_range(terms, 2, -1):
        y = y * (x * (1.0 / j)) + 1.0
    return (0.5 * x) * x * y


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


@triton.jit
def sigmoid(x):
    """1 / (1 + e^-x)."""
    e = exp(-tl.abs(x))
    inverse = 1.0 / (1.0 + e)
    return tl.where(x >= 0.0, inverse, e * inverse)


@triton.jit
def softplus(x):
    """ln(1 + e^x); its derivative is `sigmoid`."""
    return tl.where(x > 0.0, x, 0.0) + log1p_unit(exp(-tl.abs(x)))
