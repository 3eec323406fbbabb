"""The noise contract on the device: the stream of `fastvae.reference.noise`, bit for bit.

Only IEEE additions, multiplications and square roots, and no contraction of two into one: kernels that call this
launch with ``enable_fp_fusion=False``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton._tile import offsets, units
from fastvae._triton.elementary import log_polynomial, split_exponent


@triton.jit
def _radius(word):
    """sqrt(-2 ln(x 2^-24)) of the odd 24-bit integer x = 2 (word >> 9) + 1."""
    x = (2 * (word >> 9).to(tl.int32) + 1).to(tl.float32)
    f, exponent = split_exponent(x.to(tl.int32, bitcast=True))
    return tl.sqrt_rn(log_polynomial(f, (exponent - 24).to(tl.float32)) * -2.0)


@triton.jit
def _cos_sin(word):
    """(cos, sin) of 2 pi word / 2^32, reduced exactly to the nearest quarter turn."""
    quadrant = ((word + 0x20000000) >> 30).to(tl.int32)
    residual = (word - (quadrant.to(tl.uint32) << 30)).to(tl.int32, bitcast=True)
    f = (residual >> 6).to(tl.float32) * 5.8516723170686385e-09 * 16.0
    z = f * f
    s = z * -1.9515295891e-4 + 8.3321608736e-3
    s = s * z + -1.6666654611e-1
    s = (s * z) * f + f
    c = z * 2.443315711809948e-5 + -1.388731625493765e-3
    c = c * z + 4.166664568298827e-2
    c = (c * z) * z - 0.5 * z + 1.0
    odd = (quadrant & 1) == 1
    cos = tl.where(odd, s, c)
    sin = tl.where(odd, c, s)
    cos = tl.where((quadrant == 1) | (quadrant == 2), -cos, cos)
    sin = tl.where(quadrant >= 2, -sin, sin)
    return cos, sin


@triton.jit
def words(seed, group):
    """The four Philox4x32-10 words of each group: counter (group low, group high, 0, 0), key the seed's halves."""
    low = group.to(tl.uint32)
    high = (group >> 32).to(tl.uint32)
    zero = low * 0
    return tl.philox(seed, low, high, zero, zero)


@triton.jit
def normal_groups(seed, group):
    """The four normals of each group of `group [rows, groups, 1]`, as `[rows, groups, 4]`."""
    w0, w1, w2, w3 = words(seed, tl.reshape(group, (group.shape[0], group.shape[1])))
    first, second = _radius(w0), _radius(w2)
    cos0, sin0 = _cos_sin(w1)
    cos1, sin1 = _cos_sin(w3)
    pairs = tl.join(tl.join(first * cos0, second * cos1), tl.join(first * sin0, second * sin1))
    return tl.reshape(pairs, (group.shape[0], group.shape[1], 4))


@triton.jit
def normal_elements(seed, index):
    """The normal of each element of the stream: its lane of its own group."""
    w0, w1, w2, w3 = words(seed, index >> 2)
    lane = (index & 3).to(tl.int32)
    radius = _radius(tl.where(lane < 2, w0, w2))
    cos, sin = _cos_sin(tl.where(lane < 2, w1, w3))
    return radius * tl.where((lane & 1) == 0, cos, sin)


@triton.jit
def normal(seed, logical, count, sample, tiling, at):
    """eps of the tile's elements in sample number `sample` of `count` elements each.

    `logical` are the steps of the row-major index: where they go by groups, four elements share one evaluation.
    """
    if tiling.grouped and logical.unit == 4:
        return normal_groups(seed, units(logical, tiling, at) + sample * (count // 4))
    else:
        return normal_elements(seed, offsets(logical, 0, tiling, at) + sample * count)
