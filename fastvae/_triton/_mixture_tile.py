"""The densities of a block of points under one of components: `[dims, walked, own]`.

A program has points or components of its own, one a lane of a warp, and walks over the others, some a warp at a time. A
thread has all dimensions of its tile in registers: it adds them up alone, in one order everywhere, so that a gradient's
exponents are, to the bit, those that were summed. What is summed over the walk stays apart by warps until its end.

A component or dimension past the end has a density of 0, or of 1: nothing downstream asks for a mask.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton import _tile, scale_forms, scale_ratios
from fastvae._triton.elementary import constant_like
from fastvae._triton.exponential import fast_exp_of_negative


@triton.jit
def load_matrix(pointer, strides, row, column, rows, columns, other, dtype: tl.constexpr):
    """Elements of a strided matrix as `dtype`, `other` outside of it."""
    mask = (row < rows) & (column < columns)
    offsets = row.to(tl.int64) * strides[0] + column.to(tl.int64) * strides[1]
    return tl.where(mask, _tile.convert(tl.load(pointer + offsets, mask=mask, other=0), dtype), other)


@triton.jit
def store_matrix(pointer, strides, row, column, rows, columns, value):
    """Round `value` to the matrix's dtype and store it."""
    mask = (row < rows) & (column < columns)
    offsets = row.to(tl.int64) * strides[0] + column.to(tl.int64) * strides[1]
    tl.store(pointer + offsets, _tile.convert(value, pointer.dtype.element_ty), mask=mask)


@triton.jit
def load_vector(pointer, stride, index, count, other, dtype: tl.constexpr):
    """Elements of a strided vector as `dtype`, `other` past its end and where there is none."""
    if pointer is None:
        return tl.full(index.shape, other, dtype)
    else:
        mask = index < count
        value = _tile.convert(tl.load(pointer + index.to(tl.int64) * stride, mask=mask, other=0), dtype)
        return tl.where(mask, value, other)


@triton.jit
def load_points(points, row, column, shape, dtype: tl.constexpr):
    """z, 0 past the end."""
    return load_matrix(points.z, points.z_strides, row, column, shape.points, shape.dims, 0.0, dtype)


@triton.jit
def load_components(components, row, column, shape, dtype: tl.constexpr):
    """(mu, raw scale), 0 and 1 past the end."""
    mu = load_matrix(components.mu, components.mu_strides, row, column, shape.components, shape.dims, 0.0, dtype)
    raw = load_matrix(components.scale, components.scale_strides, row, column, shape.components, shape.dims, 1.0, dtype)
    return mu, raw


@triton.jit
def inverse_sigma(raw, form):
    """1 / |sigma|, bounded: times a distance that is no number near the ends of the range it is finite."""
    most: tl.constexpr = 2.0**800 if raw.dtype == tl.float64 else 2.0**100
    inverse = 1.0 / tl.abs(scale_forms.sigma(raw, form))
    return tl.where(inverse > most, most, inverse)


@triton.jit
def normal(raw, column, shape, form):
    """(1 / sigma, constant of the density) of raw scales, those past the last dimension infinitely wide."""
    raw = scale_forms.clamp(raw, form)
    constant = constant_like(raw, -0.91893853320467274178) - scale_ratios.log_abs_sigma(raw, form)
    present = column < shape.dims
    return tl.where(present, inverse_sigma(raw, form), 0.0), tl.where(present, constant, 0.0)


@triton.jit
def log_density(t, constant):
    """log N of a dimension, `t` standard deviations away from the mean."""
    return constant - (0.5 * t) * t


@triton.jit
def log_weights(weights, point, component, shape, dtype: tl.constexpr):
    """Of each point's components, minus infinity past the last one.

    Where the components are the posteriors of the points, a point's own and the next one (cyclically) may count for
    less than the others.
    """
    value = tl.zeros((component + point).shape, dtype)
    if weights.log_weights is not None:
        value += tl.load(weights.log_weights + component, mask=component < shape.components, other=0.0)
    if weights.log_own is not None:
        value = tl.where(component == (point + 1) % shape.components, _tile.from_bits(weights.log_next, dtype), value)
        value = tl.where(component == point, _tile.from_bits(weights.log_own, dtype), value)
    return tl.where(component < shape.components, value, -float("inf"))


@triton.jit
def beyond(dtype: tl.constexpr):
    """What stands for infinity among exponents, so that their differences are numbers."""
    most: tl.constexpr = 1e308 if dtype == tl.float64 else 3e38
    return most


@triton.jit
def add_exponential(exponent, greatest, total):
    """An online logsumexp of each element: takes and gives the greatest exponent, and the sum relative to it.

    They begin as minus `beyond` and 0.
    """
    exponent = tl.minimum(exponent, beyond(exponent.dtype), propagate_nan=tl.PropagateNan.ALL)
    rises = exponent > greatest
    factor = fast_exp_of_negative(-tl.abs(exponent - greatest))
    return tl.where(rises, exponent, greatest), tl.where(rises, total * factor + 1.0, total + factor)


@triton.jit
def merged(greatest, total, axis: tl.constexpr):
    """The online logsumexps along `axis` as one."""
    most = tl.max(greatest, axis=axis)
    factor = fast_exp_of_negative(greatest - tl.expand_dims(most, axis))
    return most, tl.sum(total * factor, axis=axis)


@triton.jit
def closed(greatest, total):
    """(base, sum): what an online logsumexp found, the base 0 where that is infinite."""
    infinite: tl.constexpr = beyond(total.dtype)
    total = tl.where(greatest >= infinite, total * float("inf"), total)
    return tl.where(tl.abs(greatest) >= infinite, 0.0, greatest), total
