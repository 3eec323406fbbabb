"""e^x in the accuracy of float32 or float64: by a polynomial or, where two units do, by an instruction of the device.

None has a data-dependent branch; NaN in gives NaN out.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language import target_info

from fastvae._triton.elementary import COMPILED, constant_like


@triton.jit
def _split_exponent_of_exp(x, least: tl.constexpr, most: tl.constexpr):
    """(r, shifted): e^x = e^r 2^k with k from `least` to `most`; |r| is at most ln(2) / 2 where k is not held there.

    The low bits of `shifted` are those of k + 127, a float32's exponent. NaN stays in r.
    """
    # Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
    shifted = tl.minimum(tl.maximum(x * 1.44269504 + 12583039.0, 12583039.0 + least), 12583039.0 + most)
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
def _exp_remainder_series(x):
    """e^x - 1 - x for |x| <= 1/2 in float64."""
    y = constant_like(x, 1.0)
    for j in tl.static_range(15, 2, -1):
        y = y * (x * (1.0 / j)) + 1.0
    return (0.5 * x) * x * y


@triton.jit
def exp(x):
    """e^x."""
    e, _, _ = exp_less_one(x)
    return e


@triton.jit
def _exp2(x):
    """2^x of a float32, to 1.5 units in the last place; perhaps 0 below 2^-126."""
    if COMPILED:
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
        bounded = tl.maximum(x, -128.0, propagate_nan=tl.PropagateNan.ALL)
        power = bounded * 1.44269504
        # What the product's rounding lost, as a power of e: by ln 2 in two parts.
        rest = tl.fma(power, 1.90465429e-9, tl.fma(power, -0.693147182464599609375, bounded))
        y = _exp2(power)
        return tl.fma(y, rest, y)


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
def times_exp(value, x):
    """value e^x, also where e^x alone is beyond the range of the dtype."""
    # A denormal of float64 has a product in range up to 1,455; those of float32 are not held to it.
    most: tl.constexpr = 1460.0 if x.dtype == tl.float64 else 176.0
    x = tl.where(x > most, most, tl.where(x < -most, -most, x))
    if x.dtype == tl.float64:
        near = tl.where(x > 700.0, 700.0, tl.where(x < -700.0, -700.0, x))
        middle = tl.where(x - near > 700.0, 700.0, tl.where(x - near < -700.0, -700.0, x - near))
        return (value * tl.exp(near)) * tl.exp(middle) * tl.exp(x - near - middle)
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
