"""The kernels of a mixture of Gaussians: log sums over the components, and their gradients.

A program of the forward pass and of the gradient of z has a block of points and walks over the components; one of the
gradients of mu and scale has a block of components and walks over the points. So every sum is one program's, in a fixed
order, and no tensor of points times components is made.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from fastvae._triton import _tile, reduce, scale_forms
from fastvae._triton._mixture_tile import (
    add_exponentials,
    inverse_sigma,
    load_components,
    load_matrix,
    load_points,
    log_joint,
    log_weights,
    store_matrix,
)
from fastvae._triton.exponential import exp
from fastvae._triton.logarithm import log


class Points(NamedTuple):
    z: Any
    z_strides: Any


class Components(NamedTuple):
    mu: Any
    scale: Any
    mu_strides: Any
    scale_strides: Any


class Weights(NamedTuple):
    log_weights: Any
    log_own: Any
    log_next: Any


class Shape(NamedTuple):
    points: Any
    components: Any
    dims: Any


@triton.jit(do_not_specialize=["log_own", "log_next", "log_weight"])
def forward(
    z, mu, scale, weight, sums, log_prob, log_product, partials, counters,
    z_strides, mu_strides, scale_strides, shape, log_own, log_next, log_weight, form,
    by_dimension: tl.constexpr, block_points: tl.constexpr, block_components: tl.constexpr, block_dims: tl.constexpr,
    dtype: tl.constexpr,
):  # fmt: skip
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    chunks = tl.maximum((shape.dims + block_dims - 1) // block_dims, 1) if by_dimension else 1
    chunk = tl.program_id(0) % chunks
    point = tl.program_id(0) // chunks * block_points + tl.arange(0, block_points)
    column = chunk * block_dims + tl.arange(0, block_dims)
    of_points = load_points(points, point, column, shape, dtype)
    greatest = tl.full((block_points,), -float("inf"), dtype)
    total = tl.zeros((block_points,), dtype)
    greatest_each = tl.full((block_points, block_dims), -float("inf"), dtype)
    total_each = tl.zeros((block_points, block_dims), dtype)
    start = 0
    while start < shape.components:
        component = start + tl.arange(0, block_components)
        added = log_weights(weights, point, component, shape, dtype)
        if by_dimension:
            of_mu, inverse, constant = load_components(components, component, column, shape, form, dtype)
            t = (of_points - of_mu) * inverse
            exponents = constant - (0.5 * t) * t + added[:, :, None]
            greatest_each, total_each = add_exponentials(exponents, greatest_each, total_each, 1)
        if chunk == 0:
            joint = log_joint(points, components, point, component, shape, form, block_dims, dtype)
            greatest, total = add_exponentials(joint + added, greatest, total, 1)
        start += block_components
    columns = shape.dims + 2 if by_dimension else 2
    every = _tile.from_bits(log_weight.to(tl.int64), dtype)
    if chunk == 0:
        base = tl.where(tl.abs(greatest) == float("inf"), 0.0, greatest)
        last = sums + (point.to(tl.int64) + 1) * columns - 2
        tl.store(last, base, mask=point < shape.points)
        tl.store(last + 1, total, mask=point < shape.points)
        tl.store(log_prob + point, (log(total) + every) + base, mask=point < shape.points)
    if by_dimension:
        base_each = tl.where(tl.abs(greatest_each) == float("inf"), 0.0, greatest_each)
        each = base_each + log(total_each)
        store_matrix(sums, (columns, 1), point, column, shape.points, shape.dims, each)
        product = tl.sum(tl.where((column < shape.dims)[None, :], each + every, 0.0), axis=1)
        if partials is None:
            tl.store(log_product + point, product, mask=point < shape.points)
        else:
            tl.store(partials + point.to(tl.int64) * chunks + chunk, product, mask=point < shape.points)
            tl.debug_barrier()
            reduce.finish_rows(counters, log_product, partials, shape.points, chunks, block_points)


@triton.jit
def _load_vector(pointer, stride, index, count, other, dtype: tl.constexpr):
    """A strided vector as `dtype`, `other` past its end and where there is none."""
    if pointer is None:
        return tl.full(index.shape, other, dtype)
    else:
        mask = index < count
        return tl.where(
            mask, _tile.convert(tl.load(pointer + index.to(tl.int64) * stride, mask=mask, other=0), dtype), other
        )


@triton.jit
def _weights_of_joint(
    points, components, weights, sums, upstream, point, component, shape, form, by_dimension: tl.constexpr,
    block_dims: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    """(the log weights, the upstream gradient of each joint log-density), `[points, components]`."""
    added = log_weights(weights, point, component, shape, dtype)
    columns = shape.dims + 2 if by_dimension else 2
    base = _load_vector(sums + columns - 2, columns, point, shape.points, float("inf"), dtype)
    total = _load_vector(sums + columns - 1, columns, point, shape.points, 1.0, dtype)
    joint = log_joint(points, components, point, component, shape, form, block_dims, dtype)
    gradient = _load_vector(upstream[0], upstream[2], point, shape.points, 0.0, dtype) / total
    return added, gradient[:, None] * exp(joint + added - base[:, None])


@triton.jit
def _weights_of_tile(
    t, constant, added, of_joint, sums, upstream, point, column, shape, by_dimension: tl.constexpr,
    dtype: tl.constexpr,
):  # fmt: skip
    """The upstream gradient of each log-density of a dimension, `[points, components, dims]`."""
    if by_dimension:
        log_sum = load_matrix(sums, (shape.dims + 2, 1), point, column, shape.points, shape.dims, float("inf"), dtype)
        gradient = _load_vector(upstream[1], upstream[3], point, shape.points, 0.0, dtype)
        exponents = constant - (0.5 * t) * t + added[:, :, None] - log_sum[:, None, :]
        return of_joint[:, :, None] + gradient[:, None, None] * exp(exponents)
    else:
        return tl.broadcast_to(of_joint[:, :, None], t.shape)


@triton.jit(do_not_specialize=["log_own", "log_next"])
def to_points(
    z, mu, scale, weight, sums, of_joint, of_product, grad_z,
    z_strides, mu_strides, scale_strides, grad_strides, joint_stride, product_stride, shape,
    log_own, log_next, form, by_dimension: tl.constexpr, block_points: tl.constexpr,
    block_components: tl.constexpr, block_dims: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    upstream = (of_joint, of_product, joint_stride, product_stride)
    chunks = (shape.dims + block_dims - 1) // block_dims
    point = tl.program_id(0) // chunks * block_points + tl.arange(0, block_points)
    column = tl.program_id(0) % chunks * block_dims + tl.arange(0, block_dims)
    of_points = load_points(points, point, column, shape, dtype)
    gradient = tl.zeros((block_points, block_dims), dtype)
    start = 0
    while start < shape.components:
        component = start + tl.arange(0, block_components)
        added, joint = _weights_of_joint(
            points, components, weights, sums, upstream, point, component, shape, form, by_dimension, block_dims,
            dtype,
        )  # fmt: skip
        of_mu, inverse, constant = load_components(components, component, column, shape, form, dtype)
        t = (of_points - of_mu) * inverse
        w = _weights_of_tile(t, constant, added, joint, sums, upstream, point, column, shape, by_dimension, dtype)
        gradient -= tl.sum((w * t) * inverse, axis=1)
        start += block_components
    store_matrix(grad_z, grad_strides, point, column, shape.points, shape.dims, gradient)


@triton.jit(do_not_specialize=["log_own", "log_next"])
def to_components(
    z, mu, scale, weight, sums, of_joint, of_product, grad_mu, grad_scale, sums_of_weights,
    z_strides, mu_strides, scale_strides, grad_mu_strides, grad_scale_strides, joint_stride, product_stride, shape,
    log_own, log_next, form, by_dimension: tl.constexpr, block_points: tl.constexpr,
    block_components: tl.constexpr, block_dims: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    upstream = (of_joint, of_product, joint_stride, product_stride)
    chunks = tl.maximum((shape.dims + block_dims - 1) // block_dims, 1)
    component = tl.program_id(0) // chunks * block_components + tl.arange(0, block_components)
    column = tl.program_id(0) % chunks * block_dims + tl.arange(0, block_dims)
    of_mu, inverse, constant = load_components(components, component, column, shape, form, dtype)
    to_mu = tl.zeros((block_components, block_dims), dtype)
    to_scale = tl.zeros((block_components, block_dims), dtype)
    to_weight = tl.zeros((block_components,), dtype)
    start = 0
    while start < shape.points:
        point = start + tl.arange(0, block_points)
        added, joint = _weights_of_joint(
            points, components, weights, sums, upstream, point, component, shape, form, by_dimension, block_dims,
            dtype,
        )  # fmt: skip
        t = (load_points(points, point, column, shape, dtype) - of_mu) * inverse
        w = _weights_of_tile(t, constant, added, joint, sums, upstream, point, column, shape, by_dimension, dtype)
        pull = w * t
        to_mu += tl.sum(pull, axis=0)
        to_scale += tl.sum(pull * t - w, axis=0)
        to_weight += tl.sum(joint, axis=0)
        start += block_points
    unclamped = load_matrix(scale, scale_strides, component, column, shape.components, shape.dims, 1.0, dtype)
    raw = scale_forms.clamp(unclamped, form)
    if grad_mu is not None:
        to_mu *= inverse_sigma(raw, form)
        store_matrix(grad_mu, grad_mu_strides, component, column, shape.components, shape.dims, to_mu)
    if grad_scale is not None:
        to_scale = scale_forms.through_clamp(scale_forms.to_raw(0.5 * to_scale, raw, form), unclamped, form)
        store_matrix(grad_scale, grad_scale_strides, component, column, shape.components, shape.dims, to_scale)
    if sums_of_weights is not None:
        first = (tl.program_id(0) % chunks == 0) & (component < shape.components)
        tl.store(sums_of_weights + component, to_weight, mask=first)
