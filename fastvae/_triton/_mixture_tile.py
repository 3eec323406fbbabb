"""The densities of a block of points under one of components, some dimensions at a time: `[points, components, dims]`.

A component or dimension past the end has a density of 0, or of 1: nothing downstream asks for a mask.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton import _tile, scale_forms, scale_ratios
from fastvae._triton.elementary import constant_like
from fastvae._triton.exponential import exp


@triton.jit
def load_matrix(pointer, strides, row, column, rows, columns, other, dtype: tl.constexpr):
    """`[rows, columns]` of a strided matrix as `dtype`, `other` outside of it."""
    mask = (row < rows)[:, None] & (column < columns)[None, :]
    offsets = row.to(tl.int64)[:, None] * strides[0] + column.to(tl.int64)[None, :] * strides[1]
    return tl.where(mask, _tile.convert(tl.load(pointer + offsets, mask=mask, other=0), dtype), other)


@triton.jit
def store_matrix(pointer, strides, row, column, rows, columns, value):
    """Round `value` to the matrix's dtype and store it."""
    mask = (row < rows)[:, None] & (column < columns)[None, :]
    offsets = row.to(tl.int64)[:, None] * strides[0] + column.to(tl.int64)[None, :] * strides[1]
    tl.store(pointer + offsets, _tile.convert(value, pointer.dtype.element_ty), mask=mask)


@triton.jit
def load_points(points, row, column, shape, dtype: tl.constexpr):
    """`[points, 1, dims]`."""
    return load_matrix(points.z, points.z_strides, row, column, shape.points, shape.dims, 0.0, dtype)[:, None, :]


@triton.jit
def inverse_sigma(raw, form):
    """1 / |sigma|, bounded: times a distance that is no number near the ends of the range it is finite."""
    most: tl.constexpr = 2.0**800 if raw.dtype == tl.float64 else 2.0**100
    inverse = 1.0 / tl.abs(scale_forms.sigma(raw, form))
    return tl.where(inverse > most, most, inverse)


@triton.jit
def load_components(components, row, column, shape, form, dtype: tl.constexpr):
    """(mu, 1 / sigma, constant of the density), `[1, components, dims]` each, of mu 0 and sigma past the end."""
    mu = load_matrix(components.mu, components.mu_strides, row, column, shape.components, shape.dims, 0.0, dtype)
    raw = load_matrix(components.scale, components.scale_strides, row, column, shape.components, shape.dims, 1.0, dtype)
    raw = scale_forms.clamp(raw, form)
    constant = constant_like(raw, -0.91893853320467274178) - scale_ratios.log_abs_sigma(raw, form)
    present = (column < shape.dims)[None, :]
    inverse = tl.where(present, inverse_sigma(raw, form), 0.0)
    return mu[None, :, :], inverse[None, :, :], tl.where(present, constant, 0.0)[None, :, :]


@triton.jit
def log_weights(weights, point, component, shape, dtype: tl.constexpr):
    """`[points, components]`, minus infinity past the last component. Where these are the posteriors of the points, a
    point's own and the next one (cyclically) may count for less than the others."""
    row, column = point[:, None], component[None, :]
    value = tl.zeros((point.shape[0], component.shape[0]), dtype)
    if weights.log_weights is not None:
        value += tl.load(weights.log_weights + component, mask=component < shape.components, other=0.0)[None, :]
    if weights.log_own is not None:
        value = tl.where(column == (row + 1) % shape.components, _tile.from_bits(weights.log_next, dtype), value)
        value = tl.where(column == row, _tile.from_bits(weights.log_own, dtype), value)
    return tl.where(column < shape.components, value, -float("inf"))


@triton.jit
def log_joint(points, components, point, component, shape, form, block_dims: tl.constexpr, dtype: tl.constexpr):
    """log N of all dimensions, `[points, components]`."""
    total = tl.zeros((point.shape[0], component.shape[0]), dtype)
    start = 0
    while start < shape.dims:
        column = start + tl.arange(0, block_dims)
        z = load_points(points, point, column, shape, dtype)
        mu, inverse, constant = load_components(components, component, column, shape, form, dtype)
        t = (z - mu) * inverse
        total += tl.sum(constant - (0.5 * t) * t, axis=2)
        start += block_dims
    return total


@triton.jit
def add_exponentials(exponents, greatest, total, axis: tl.constexpr):
    """An online logsumexp: takes and gives the greatest exponent along `axis`, and the sum relative to it (to 0 where
    that is infinite)."""
    here = tl.max(exponents, axis=axis)
    new = tl.where(here > greatest, here, greatest)
    base = tl.where(tl.abs(new) == float("inf"), 0.0, new)
    terms = tl.sum(exp(exponents - tl.expand_dims(base, axis)), axis=axis)
    return new, total * exp(greatest - base) + terms
