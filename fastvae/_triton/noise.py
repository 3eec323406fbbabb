"""The noise contract on the device: the stream of `fastvae.reference.noise`, bit for bit.

Only IEEE additions, multiplications, fused multiply-adds and square roots. No product is a term of a plain sum, so
there is nothing for a compiler to contract.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import triton
import triton.language as tl

from fastvae._triton._tile import offsets, units


class Stream(NamedTuple):
    """Which noise of a seed a tensor has: the stretch at element `first` (None: 0) of the stream, and for each further
    sample the one `stride` elements later. `by_group`: each of them begins with a group of four."""

    stride: int
    first: int | None
    by_group: Any


def stream(shape: Sequence[int], num_samples: int | None, shard: Sequence[int] | None) -> Stream:
    """The noise of `num_samples` of a tensor of `shape`, which is not empty: see `PosteriorOptions`."""
    if shard is None:
        return Stream(math.prod(shape), None, tl.constexpr(True))
    start, total = shard
    row = math.prod(shape[1:])
    first, stride = start * row, total * row
    by_group = first % 4 == 0 and (num_samples is None or stride % 4 == 0)
    return Stream(stride, first or None, tl.constexpr(by_group))


@triton.jit
def _radius(word):
    """sqrt(-2 ln u) of u = (2 (word >> 9) + 1) 2^-24."""
    u = ((word >> 9) | 0x3F800000).to(tl.float32, bitcast=True) - 0.999999940395355224609375
    bits = u.to(tl.int32, bitcast=True)
    steps = (bits - 0x3F800000).to(tl.float32)
    f = ((bits & 0x007FFFFF) | 0x3F000000).to(tl.float32, bitcast=True) - 1.0
    p = tl.fma(f, -2.882215976715088, -3.3916242122650146)
    p = tl.fma(p, f, -2.5153398513793945)
    p = tl.fma(p, f, -0.40707799792289734)
    p = tl.fma(p, f, -0.5392255187034607)
    p = tl.fma(p, f, 0.4856102466583252)
    p = tl.fma(p, f, -0.6674017906188965)
    p = tl.fma(p, f, 0.9999855160713196)
    p = tl.fma(p, f, 0.7725886702537537)
    return tl.sqrt_rn(tl.fma(steps, -1.6525916635146132e-07, p * f))


@triton.jit
def _pair(radius_word, angle_word):
    """The two normals of two words."""
    v = ((angle_word & 0x007FFFFE) | 0x3F800001).to(tl.float32, bitcast=True) - 1.5
    z = v * v
    c = tl.fma(z, -0.02041725255548954, 0.2536029517650604)
    c = tl.fma(c, z, -1.2336976528167725)
    c = tl.fma(c, z, 1.0)
    s = tl.fma(z, -0.00460165785625577, 0.07968007773160934)
    s = tl.fma(s, z, -0.6459638476371765)
    s = tl.fma(s, z, 1.5707963705062866)
    s = s * v
    radius = _radius(radius_word).to(tl.uint32, bitcast=True) | (angle_word & 0x80000000)
    radius = radius.to(tl.float32, bitcast=True)
    swap = (angle_word & 0x40000000) != 0
    return radius * tl.where(swap, s, c), radius * tl.where(swap, c, s)


@triton.jit
def _product(word, factor: tl.constexpr):
    """The high and the low half, of one multiplication."""
    product = word.to(tl.uint64) * factor
    return (product >> 32).to(tl.uint32), product.to(tl.uint32)


@triton.jit
def philox(seed, c0, c1, c2, c3):
    """Philox4x32-7 of counters of uint32 under the halves of the seed. (Triton's own multiplies twice.)"""
    key = seed.to(tl.uint64)
    k0 = key.to(tl.uint32)
    k1 = (key >> 32).to(tl.uint32)
    for _ in tl.static_range(7):
        high0, low0 = _product(c0, 0xD2511F53)
        high1, low1 = _product(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = tl.add(k0, 0x9E3779B9, sanitize_overflow=False)
        k1 = tl.add(k1, 0xBB67AE85, sanitize_overflow=False)
    return c0, c1, c2, c3


@triton.jit
def words(seed, group):
    """The four words of each group: counter (group low, group high, 0, 0)."""
    low = group.to(tl.uint32)
    zero = low * 0
    return philox(seed, low, (group >> 32).to(tl.uint32), zero, zero)


@triton.jit
def normal_groups(seed, group):
    """The four normals of each group of `group [rows, groups, 1]`, as `[rows, groups, 4]`."""
    w0, w1, w2, w3 = words(seed, tl.reshape(group, (group.shape[0], group.shape[1])))
    n0, n1 = _pair(w0, w1)
    n2, n3 = _pair(w2, w3)
    pairs = tl.join(tl.join(n0, n2), tl.join(n1, n3))
    return tl.reshape(pairs, (group.shape[0], group.shape[1], 4))


@triton.jit
def normal_eights(seed, group):
    """The normals of each group and of the one behind it, as `[rows, groups, 8]`.

    Each for itself: of both in one tensor, the compiler would give each to a thread of its own.
    """
    both = tl.join(normal_groups(seed, group), normal_groups(seed, group + 1))
    return tl.reshape(tl.permute(both, (0, 1, 3, 2)), (group.shape[0], group.shape[1], 8))


@triton.jit
def normal_elements(seed, index):
    """The normal of each element of the stream: its lane of its own group."""
    w0, w1, w2, w3 = words(seed, index >> 2)
    lane = (index & 3).to(tl.int32)
    even, odd = _pair(tl.where(lane < 2, w0, w2), tl.where(lane < 2, w1, w3))
    return tl.where((lane & 1) == 0, even, odd)


@triton.jit
def normal(seed, logical, stream, sample, tiling, at):
    """eps of the tile's elements in sample number `sample`, an int64.

    `logical` are the steps of the row-major index: where they and the stream go by groups, four elements share one
    evaluation, and a tile's group of eight has two.
    """
    if tiling.grouped and logical.unit == tiling.lanes and stream.by_group:
        begin = sample * (stream.stride // 4)
        if stream.first is not None:
            begin += stream.first // 4
        group = units(logical, tiling, at)
        if tiling.lanes == 8:
            return normal_eights(seed, group * 2 + begin)
        else:
            return normal_groups(seed, group + begin)
    else:
        begin = sample * stream.stride
        if stream.first is not None:
            begin += stream.first
        return normal_elements(seed, offsets(logical, 0, tiling, at) + begin)
