"""The kernels of a mixture of Gaussians: log sums over the components, and their gradients.

A program of the forward pass and of the gradient of z has a block of points and walks over the components; one of the
gradients of mu and scale has a block of components and walks over the points. Several programs share a walk, in parts.
What they leave, `[parts, dims, own]`, a second kernel adds up in order. So no tensor of points times components is
made, and the bits are the same whichever comes first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from fastvae._triton import _tile, scale_forms
from fastvae._triton._mixture_tile import (
    add_exponential,
    beyond,
    closed,
    inverse_sigma,
    load_components,
    load_matrix,
    load_points,
    load_vector,
    log_density,
    log_weights,
    merged,
    normal,
    store_matrix,
)
from fastvae._triton.exponential import fast_exp_of_negative
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


class Blocks(NamedTuple):
    """What a program covers, as compile-time constants: points or components of its own, others at a time, dimensions
    (whether those are all), and how many programs share a walk."""

    own: Any
    walked: Any
    dims: Any
    whole: Any
    parts: Any


@triton.jit
def _part_of_walk(walked, blocks):
    """(this program's part, where that begins, where it ends)."""
    part = tl.program_id(0) % blocks.parts
    length = (walked + blocks.walked * blocks.parts - 1) // (blocks.walked * blocks.parts) * blocks.walked
    return part, part * length, tl.minimum((part + 1) * length, walked)


@triton.jit
def _walked(start, blocks):
    return start + tl.arange(0, blocks.walked)


@triton.jit
def _own(number, dims, block_own: tl.constexpr, block_dims: tl.constexpr):
    """(own, column, the first column) of the programs of this number."""
    chunks = tl.maximum((dims + block_dims - 1) // block_dims, 1)
    own = number // chunks * block_own + tl.arange(0, block_own)
    begin = number % chunks * block_dims
    return own, begin + tl.arange(0, block_dims), begin


@triton.jit
def _joint_by_chunks(
    points, components, point, component, shape, form, blocks, own_points: tl.constexpr, dtype: tl.constexpr
):  # fmt: skip
    """log N of all dimensions, `[walked, own]`, where a program has some of them at a time."""
    total = tl.zeros((blocks.walked, blocks.own), dtype)
    start = 0
    while start < shape.dims:
        column = (start + tl.arange(0, blocks.dims))[:, None]
        z = load_points(points, point[None, :], column, shape, dtype)
        mu, raw = load_components(components, component[None, :], column, shape, dtype)
        inverse, constant = normal(raw, column, shape, form)
        if own_points:
            t, constant = (z[:, None, :] - mu[:, :, None]) * inverse[:, :, None], constant[:, :, None]
        else:
            t, constant = (z[:, :, None] - mu[:, None, :]) * inverse[:, None, :], constant[:, None, :]
        total += tl.sum(log_density(t, constant), axis=0)
        start += blocks.dims
    return total


@triton.jit(do_not_specialize=["log_own", "log_next"])
def add(
    z, mu, scale, weight, joint_left, each_left, z_strides, mu_strides, scale_strides, shape, log_own, log_next, form,
    blocks, dtype: tl.constexpr,
):  # fmt: skip
    """The sums over a part of the components: of all dimensions together, of each one, or of both."""
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    group = tl.program_id(0) // blocks.parts
    point, column, _ = _own(group, blocks.dims if each_left is None else shape.dims, blocks.own, blocks.dims)
    of_points = load_points(points, point[None, :], column[:, None], shape, dtype)[:, None, :]
    greatest = tl.full((blocks.walked, blocks.own), -beyond(dtype), dtype)
    total = tl.zeros((blocks.walked, blocks.own), dtype)
    greatest_each = tl.full((blocks.dims, blocks.walked, blocks.own), -beyond(dtype), dtype)
    total_each = tl.zeros((blocks.dims, blocks.walked, blocks.own), dtype)
    part, start, end = _part_of_walk(shape.components, blocks)
    # On their way one step ahead.
    next_mu, next_raw = load_components(components, _walked(start, blocks)[None, :], column[:, None], shape, dtype)
    while start < end:
        component, ahead = _walked(start, blocks), _walked(start + blocks.walked, blocks)
        of_mu, raw = next_mu, next_raw
        next_mu, next_raw = load_components(components, ahead[None, :], column[:, None], shape, dtype)
        added = log_weights(weights, point[None, :], component[:, None], shape, dtype)
        if each_left is not None or blocks.whole:
            inverse, constant = normal(raw, column[:, None], shape, form)
            density = log_density((of_points - of_mu[:, :, None]) * inverse[:, :, None], constant[:, :, None])
        if each_left is not None:
            greatest_each, total_each = add_exponential(density + added[None, :, :], greatest_each, total_each)
        if joint_left is not None:
            if blocks.whole:
                joint = tl.sum(density, axis=0)
            else:
                joint = _joint_by_chunks(points, components, point, component, shape, form, blocks, True, dtype)
            greatest, total = add_exponential(joint + added, greatest, total)
        start += blocks.walked
    if joint_left is not None:
        most, of_all = merged(greatest, total, 0)
        _leave(joint_left, 0, part, tl.arange(0, 1), point, 1, shape.points, most[None, :])
        _leave(joint_left, blocks.parts, part, tl.arange(0, 1), point, 1, shape.points, of_all[None, :])
    if each_left is not None:
        most_each, of_each = merged(greatest_each, total_each, 1)
        _leave(each_left, 0, part, column, point, shape.dims, shape.points, most_each)
        _leave(each_left, blocks.parts, part, column, point, shape.dims, shape.points, of_each)


@triton.jit
def _leave(left, number, part, column, own, columns, count, value):
    """Leave `value`, `[dims, own]`, as that of a part, behind those of a number of parts."""
    row = (part + number) * columns + column[:, None]
    mask = (column < columns)[:, None] & (own < count)[None, :]
    tl.store(left + (row.to(tl.int64) * count + own[None, :]), value, mask=mask)


@triton.jit
def _all_left(left, number, column, own, columns, count, other, parts: tl.constexpr):
    """What all parts left, `[parts, dims, own]`."""
    row = (tl.arange(0, parts)[:, None, None] + number) * columns + column[None, :, None]
    mask = (column < columns)[None, :, None] & (own < count)[None, None, :]
    return tl.load(left + (row.to(tl.int64) * count + own[None, None, :]), mask=mask, other=other)


@triton.jit
def _merged(left, column, own, columns, count, parts: tl.constexpr, dtype: tl.constexpr):
    """(base, sum) of all parts, `[dims, own]`."""
    greatest = _all_left(left, 0, column, own, columns, count, -beyond(dtype), parts)
    greatest, total = merged(greatest, _all_left(left, parts, column, own, columns, count, 0.0, parts), 0)
    return closed(greatest, total)


@triton.jit(do_not_specialize=["log_weight"])
def finish_sums(
    joint_left, each_left, sums, log_prob, log_product, shape, log_weight, joint_parts: tl.constexpr,
    each_parts: tl.constexpr, block_points: tl.constexpr, block_dims: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    """The log-densities, and what backward needs of the sums over components."""
    point = tl.program_id(0) * block_points + tl.arange(0, block_points)
    row, present = point[None, :], (point < shape.points)[None, :]
    every = _tile.from_bits(log_weight.to(tl.int64), dtype)
    columns = 2 if each_left is None else shape.dims + 2
    base, total = _merged(joint_left, tl.arange(0, 1), point, 1, shape.points, joint_parts, dtype)
    behind = sums + (row.to(tl.int64) + 1) * columns - 2
    tl.store(behind, base, mask=present)
    tl.store(behind + 1, total, mask=present)
    tl.store(log_prob + row, (log(total) + every) + base, mask=present)
    if each_left is not None:
        product = tl.zeros((1, block_points), tl.float64)
        start = 0
        while start < shape.dims:
            column = start + tl.arange(0, block_dims)
            of_each = _merged(each_left, column, point, shape.dims, shape.points, each_parts, dtype)
            each = of_each[0] + log(of_each[1])
            store_matrix(sums, (columns, 1), row, column[:, None], shape.points, shape.dims, each)
            each = tl.where((column < shape.dims)[:, None], each + every, 0.0)
            product += tl.sum(each, axis=0, keep_dims=True).to(tl.float64)
            start += block_dims
        tl.store(log_product + row, _tile.convert(product, dtype), mask=present)


@triton.jit
def _joint_sums(sums, of_joint, stride, point, shape, by_dimension: tl.constexpr, dtype: tl.constexpr):
    """(base, the upstream gradient over the sum) of points: a joint log-density has as its gradient the second times
    e to the power of what it is, weighted, above the first."""
    columns = shape.dims + 2 if by_dimension else 2
    base = load_vector(sums + columns - 2, columns, point, shape.points, float("inf"), dtype)
    total = load_vector(sums + columns - 1, columns, point, shape.points, 1.0, dtype)
    return base, load_vector(of_joint, stride, point, shape.points, 0.0, dtype) / total


@triton.jit
def _log_sums(sums, point, column, shape, dtype: tl.constexpr):
    """Of each dimension, infinite past the end."""
    strides = (shape.dims + 2, 1)
    return load_matrix(sums, strides, point, column, shape.points, shape.dims, float("inf"), dtype)


@triton.jit(do_not_specialize=["log_own", "log_next"])
def to_points(
    z, mu, scale, weight, sums, of_joint, of_product, left,
    z_strides, mu_strides, scale_strides, joint_stride, product_stride, shape, log_own, log_next, form,
    by_dimension: tl.constexpr, blocks, dtype: tl.constexpr,
):  # fmt: skip
    """The gradient of z, of a part of the components."""
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    point, column, _ = _own(tl.program_id(0) // blocks.parts, shape.dims, blocks.own, blocks.dims)
    of_points = load_points(points, point[None, :], column[:, None], shape, dtype)[:, None, :]
    base, of_all = _joint_sums(sums, of_joint, joint_stride, point, shape, by_dimension, dtype)
    base, of_all = base[None, :], of_all[None, :]
    if by_dimension:
        log_sums = _log_sums(sums, point[None, :], column[:, None], shape, dtype)[:, None, :]
        of_each = load_vector(of_product, product_stride, point, shape.points, 0.0, dtype)[None, None, :]
    gradient = tl.zeros((blocks.dims, blocks.walked, blocks.own), dtype)
    part, start, end = _part_of_walk(shape.components, blocks)
    next_mu, next_raw = load_components(components, _walked(start, blocks)[None, :], column[:, None], shape, dtype)
    while start < end:
        component, ahead = _walked(start, blocks), _walked(start + blocks.walked, blocks)
        of_mu, raw = next_mu, next_raw
        next_mu, next_raw = load_components(components, ahead[None, :], column[:, None], shape, dtype)
        added = log_weights(weights, point[None, :], component[:, None], shape, dtype)
        inverse, constant = normal(raw, column[:, None], shape, form)
        inverse = inverse[:, :, None]
        t = (of_points - of_mu[:, :, None]) * inverse
        density = log_density(t, constant[:, :, None])
        if blocks.whole:
            joint = tl.sum(density, axis=0)
        else:
            joint = _joint_by_chunks(points, components, point, component, shape, form, blocks, True, dtype)
        w = (of_all * fast_exp_of_negative(joint + added - base))[None, :, :]
        if by_dimension:
            w += of_each * fast_exp_of_negative(density + added[None, :, :] - log_sums)
        gradient -= (w * t) * inverse
        start += blocks.walked
    _leave(left, 0, part, column, point, shape.dims, shape.points, tl.sum(gradient, axis=1))


@triton.jit
def finish_points(
    left, grad_z, strides, shape, parts: tl.constexpr, block_points: tl.constexpr, block_dims: tl.constexpr,
):  # fmt: skip
    """The gradient of z of all parts."""
    point, column, _ = _own(tl.program_id(0), shape.dims, block_points, block_dims)
    gradient = tl.sum(_all_left(left, 0, column, point, shape.dims, shape.points, 0.0, parts), axis=0)
    store_matrix(grad_z, strides, point[None, :], column[:, None], shape.points, shape.dims, gradient)


@triton.jit(do_not_specialize=["log_own", "log_next"])
def to_components(
    z, mu, scale, weight, sums, of_joint, of_product, left, weights_left,
    z_strides, mu_strides, scale_strides, joint_stride, product_stride, shape, log_own, log_next, form,
    by_dimension: tl.constexpr, blocks, dtype: tl.constexpr,
):  # fmt: skip
    """The gradients of mu, times sigma, and of 2 log sigma, times 2, and the sums of the components' weights, of a part
    of the points."""
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    component, column, begin = _own(tl.program_id(0) // blocks.parts, shape.dims, blocks.own, blocks.dims)
    of_mu, raw = load_components(components, component[None, :], column[:, None], shape, dtype)
    inverse, constant = normal(raw, column[:, None], shape, form)
    of_mu, inverse, constant = of_mu[:, None, :], inverse[:, None, :], constant[:, None, :]
    to_mu = tl.zeros((blocks.dims, blocks.walked, blocks.own), dtype)
    to_scale = tl.zeros((blocks.dims, blocks.walked, blocks.own), dtype)
    to_weight = tl.zeros((blocks.walked, blocks.own), dtype)
    part, start, end = _part_of_walk(shape.points, blocks)
    next_points = load_points(points, _walked(start, blocks)[None, :], column[:, None], shape, dtype)
    while start < end:
        point, ahead = _walked(start, blocks), _walked(start + blocks.walked, blocks)
        of_points = next_points[:, :, None]
        next_points = load_points(points, ahead[None, :], column[:, None], shape, dtype)
        base, of_all = _joint_sums(sums, of_joint, joint_stride, point, shape, by_dimension, dtype)
        if by_dimension:
            log_sums = _log_sums(sums, point[None, :], column[:, None], shape, dtype)[:, :, None]
            of_each = load_vector(of_product, product_stride, point, shape.points, 0.0, dtype)[None, :, None]
        added = log_weights(weights, point[:, None], component[None, :], shape, dtype)
        t = (of_points - of_mu) * inverse
        density = log_density(t, constant)
        if blocks.whole:
            joint = tl.sum(density, axis=0)
        else:
            joint = _joint_by_chunks(points, components, point, component, shape, form, blocks, False, dtype)
        of_weight = of_all[:, None] * fast_exp_of_negative(joint + added - base[:, None])
        to_weight += of_weight
        w = of_weight[None, :, :]
        if by_dimension:
            w += of_each * fast_exp_of_negative(density + added[None, :, :] - log_sums)
        pull = w * t
        to_mu += pull
        to_scale += pull * t - w
        start += blocks.walked
    count = shape.components
    _leave(left, 0, part, column, component, shape.dims, count, tl.sum(to_mu, axis=1))
    _leave(left, blocks.parts, part, column, component, shape.dims, count, tl.sum(to_scale, axis=1))
    if weights_left is not None and begin == 0:
        of_weights = tl.sum(to_weight, axis=0)[None, :]
        _leave(weights_left, 0, part, tl.arange(0, 1), component, 1, count, of_weights)


@triton.jit
def finish_components(
    left, weights_left, scale, grad_mu, grad_scale, sums_of_weights, scale_strides, mu_strides, grad_scale_strides,
    shape, form, parts: tl.constexpr, block_components: tl.constexpr, block_dims: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    """The gradients of mu and scale, and the sums of the components' weights, of all parts."""
    component, column, begin = _own(tl.program_id(0), shape.dims, block_components, block_dims)
    row, at, count = component[None, :], column[:, None], shape.components
    unclamped = load_matrix(scale, scale_strides, row, at, count, shape.dims, 1.0, dtype)
    raw = scale_forms.clamp(unclamped, form)
    if grad_mu is not None:
        to_mu = tl.sum(_all_left(left, 0, column, component, shape.dims, count, 0.0, parts), axis=0)
        store_matrix(grad_mu, mu_strides, row, at, count, shape.dims, to_mu * inverse_sigma(raw, form))
    if grad_scale is not None:
        to_scale = tl.sum(_all_left(left, parts, column, component, shape.dims, count, 0.0, parts), axis=0)
        to_scale = scale_forms.through_clamp(scale_forms.to_raw(0.5 * to_scale, raw, form), unclamped, form)
        store_matrix(grad_scale, grad_scale_strides, row, at, count, shape.dims, to_scale)
    if sums_of_weights is not None and begin == 0:
        of_all = tl.sum(_all_left(weights_left, 0, tl.arange(0, 1), component, 1, count, 0.0, parts), axis=0)
        tl.store(sums_of_weights + row, of_all, mask=row < count)
