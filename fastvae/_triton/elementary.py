"""Elementary functions that keep float32's accuracy, which Triton's own approximations on a GPU do not.

Single precision follows Cephes (Moshier), double precision Triton's own functions. None has a data-dependent
branch; NaN in gives NaN out.
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl
from triton.language import target_info

# Triton's interpreter knows no instructions of a device.
_COMPILED: Final = tl.constexpr(not triton.knobs.runtime.interpret)

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
def _split(bits):
    """(f, exponent) of the float32 of `bits`, whose exponent may be beyond those that float32 has.

    1 + f, in [sqrt(1/2), sqrt(2)), is the number without the exponent, which stays where it is in the bits.
    """
    exponent = (bits - 0x3F3504F3) & -0x800000
    return (bits - exponent).to(tl.float32, bitcast=True) - 1.0, exponent


@triton.jit
def _log_of_split(f, exponent):
    """ln((1 + f) 2^k), `exponent` being k where a float32 has it in its bits."""
    p = f * 7.0376836292e-2 + -1.1514610310e-1
    p = p * f + 1.1676998740e-1
    p = p * f + -1.2420140846e-1
    p = p * f + 1.4249322787e-1
    p = p * f + -1.6668057665e-1
    p = p * f + 2.0000714765e-1
    p = p * f + -2.4999993993e-1
    p = p * f + 3.3333331174e-1
    p = p * f + -0.5
    # ln 2 has as many bits in float32 as in 28.
    ln2 = constant_like(f, 0.693147180559945309 * 2.0**-23)
    return tl.fma(exponent.to(tl.float32), ln2, tl.fma(p, f * f, f))


@triton.jit
def log(x):
    """ln x."""
    if x.dtype == tl.float64:
        return tl.log(x)
    else:
        denormal = x < 2.0**-126
        normal = tl.where(denormal, x * 16777216.0, x).to(tl.int32, bitcast=True)
        f, exponent = _split(normal - tl.where(denormal, 24 << 23, 0))
        y = _log_of_split(f, exponent)
        y = tl.where(x == float("inf"), x, y)
        return tl.where(x > 0.0, y, tl.where(x == 0.0, -float("inf"), float("nan")))


@triton.jit
def log_of_probability(x):
    """ln x for x in [0, 1], at 0 some number below -100; no number that means anything for any other x."""
    if x.dtype == tl.float64:
        return tl.where(x == 0.0, -1e4, tl.log(x))
    else:
        f, exponent = _split_probability(x)
        return _log_of_split(f, exponent)


@triton.jit
def _split_probability(x):
    """`_split` of x in [0, 1]; 2^32 x is no denormal."""
    return _split((x * 4294967296.0).to(tl.int32, bitcast=True) - (32 << 23))


@triton.jit
def log_of_complement(x):
    """ln(1 - x) for x in [0, 1], as `log_of_probability`."""
    if x.dtype == tl.float64:
        return tl.where(x == 1.0, -1e4, log1m(x))
    else:
        f, exponent = _split_probability(1.0 - x)
        # Where 1 - x is rounded, it may well be 1 + f as it is.
        return _log_of_split(tl.where(exponent == 0, -x, f), exponent)


@triton.jit
def reciprocal(x):
    """1 / x, to a unit in the last place, of a number whose reciprocal is no denormal."""
    if _COMPILED and x.dtype == tl.float32:
        if target_info.is_cuda():
            return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
        else:
            return 1.0 / x
    else:
        return 1.0 / x


@triton.jit
def _split_exponent_of_exp(x, least: tl.constexpr, most: tl.constexpr):
    """(r, shifted): e^x = e^r 2^k with k from `least` to `most`; |r| is at most ln(2) / 2 where k is not held there.

    The low bits of `shifted` are those of k + 127, a float32's exponent. NaN stays in r. For x <= 0, `most` is None.
    """
    # Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
    shifted = tl.maximum(x * 1.44269504 + 12583039.0, 12583039.0 + least)
    if most is not None:
        shifted = tl.minimum(shifted, 12583039.0 + most)
    k = shifted - 12583039.0
    return (x - k * 0.693359375) - k * -2.12194440e-4, shifted


@triton.jit
def _exponent_bits(shifted):
    return shifted.to(tl.int32, bitcast=True) << 23


@triton.jit
def _less_one(r):
    """(e^r - 1, e^r - 1 - r) for |r| <= 1/2."""
    p = r * 1.987562864e-4 + 1.3981997035e-3
    p = p * r + 8.3334520459e-3
    p = p * r + 4.1665796190e-2
    p = p * r + 1.6666665673e-1
    p = p * r + 0.5
    q = p * (r * r)
    return r + q, q


@triton.jit
def exp_less_one(x):
    """(e, u, q): e^x, and where |x| is at most 1/2 also u = e^x - 1 and q = e^x - 1 - x.

    Each has the relative error of a rounding or two; e is 0 below 2^-125.
    """
    near = tl.abs(x) <= 0.5
    if x.dtype == tl.float64:
        q = _exp_remainder_series(tl.where(near, x, 0.0))
        return tl.exp(x), x + q, q
    else:
        bounded = tl.maximum(x, -88.0, propagate_nan=tl.PropagateNan.ALL)
        r, shifted = _split_exponent_of_exp(bounded, -126, 128)
        # Where x is small it is r itself: the polynomial goes that far.
        u, q = _less_one(tl.where(near, x, r))
        shifted = tl.where(near, 12583039.0, shifted)
        half = (_exponent_bits(shifted) - 0x800000).to(tl.float32, bitcast=True)
        return (u * half + half) * 2.0, u, q


@triton.jit
def exp(x):
    """e^x."""
    e, _, _ = exp_less_one(x)
    return e


@triton.jit
def _exp2(x):
    """2^x of a float32 between -1 and 1, to 1.5 units in the last place; inf and 0 where x is infinite."""
    if _COMPILED:
        if target_info.is_cuda():
            # Triton's own would take three more instructions, for denormals.
            return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
        else:
            return tl.exp2(x)
    else:
        return tl.exp2(x)


@triton.jit
def fast_exp_of_negative(x):
    """e^x for x <= 0, to two units in the last place."""
    if x.dtype == tl.float64:
        return tl.exp(x)
    else:
        r, shifted = _split_exponent_of_exp(x, -126, None)
        return _exp2(r * 1.44269504) * _exponent_bits(shifted).to(tl.float32, bitcast=True)


@triton.jit
def _split_exp(x):
    """(y, k) with e^x = y 2^k and y near 1, of a float32 between -180 and 180."""
    r, shifted = _split_exponent_of_exp(x, -261, 261)
    u, _ = _less_one(r)
    return 1.0 + u, shifted.to(tl.int32, bitcast=True) - (0x4B400000 + 127)


@triton.jit
def _power_of_two(k):
    return ((k + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _exp_remainder_series(x):
    """e^x - 1 - x for |x| <= 1/2 in float64."""
    y = constant_like(x, 1.0)
    for j in tl.static_range(15, 2, -1):
        y = y * (x * (1.0 / j)) + 1.0
    return (0.5 * x) * x * y


@triton.jit
def log_quotient(a, b):
    """ln(a / b) of positive numbers, also where the quotient vanishes."""
    shrink: tl.constexpr = SHRINK_64 if a.dtype == tl.float64 else SHRINK_32
    log_of_square: tl.constexpr = -709.782712893384 if a.dtype == tl.float64 else -88.72283911167299671
    small = a < b * shrink
    y = log(tl.where(small, a * (1.0 / shrink), a) / tl.where(small, b * shrink, b))
    return tl.where(small, y + log_of_square, y)


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
    return sigmoid_of_exp(x, exp(-tl.abs(x)))


@triton.jit
def sigmoid_of_exp(x, e):
    """1 / (1 + e^-x), where e is e^-|x|."""
    return reciprocal(1.0 + e) * tl.where(x >= 0.0, 1.0, e)


@triton.jit
def softplus(x):
    """ln(1 + e^x); its derivative is `sigmoid`."""
    return tl.where(x > 0.0, x, 0.0) + log1p_unit(exp(-tl.abs(x)))
