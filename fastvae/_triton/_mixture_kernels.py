"""The kernels of a mixture of Gaussians: log sums over the components, and their gradients.

A program of the forward pass and of the gradient of z has a block of points and walks over the components; one of the
gradients of mu and scale has a block of components and walks over the points. Several programs share a walk, in parts;
the last of them to arrive adds up what the parts left, in their order. So no tensor of points times components is made,
and the bits are the same whichever comes last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from fastvae._triton import _tile, reduce, scale_forms
from fastvae._triton._mixture_tile import (
    add_exponentials,
    beyond,
    closed,
    distance,
    inverse_sigma,
    load_components,
    load_matrix,
    load_points,
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
    """What a program covers, as compile-time constants: elements of its own, those walked over at once, dimensions
    (whether those are all), how many programs share a walk, and the dimensions that the last of them adds up at once."""

    own: Any
    walked: Any
    dims: Any
    whole: Any
    parts: Any
    added: Any


@triton.jit
def _share(walked, blocks):
    """(this program's part of the walk, where it begins, where it ends)."""
    part = tl.program_id(0) % blocks.parts
    length = (walked + blocks.walked * blocks.parts - 1) // (blocks.walked * blocks.parts) * blocks.walked
    return part, part * length, tl.minimum((part + 1) * length, walked)


@triton.jit
def _left(partials, number, part, column, own, columns, count):
    """(where a part's result of this number is, a mask): one after the other by columns, then by `own`."""
    at = ((number + part) * columns + column.to(tl.int64)) * count + own
    return partials + at, (column < columns) & (own < count)


@triton.jit
def _leave(partials, number, part, column, own, columns, count, value):
    at, mask = _left(partials, number, part, column[:, None], own[None, :], columns, count)
    tl.store(at, value, mask=mask)


@triton.jit
def _all_left(partials, number, column, own, columns, count, blocks, other):
    """`[parts, columns, own]`, from the cache that multiprocessors share: others wrote."""
    part = tl.arange(0, blocks.parts)[:, None, None]
    at, mask = _left(partials, number, part, column[None, :, None], own[None, None, :], columns, count)
    return tl.load(at, mask=mask, other=other, cache_modifier=".cg")


@triton.jit
def _joint_by_chunks(
    points, components, point, component, shape, form, blocks, axis: tl.constexpr, dtype: tl.constexpr
):
    """log N of all dimensions, `[walked, own]`, where a program has some of them: `axis` is that of the components."""
    total = tl.zeros((blocks.walked, blocks.own), dtype)
    start = 0
    while start < shape.dims:
        column = start + tl.arange(0, blocks.dims)
        z = load_points(points, point, column, shape, dtype)
        mu, raw = load_components(components, component, column, shape, dtype)
        inverse, constant = normal(raw, column, shape, form)
        other: tl.constexpr = 3 - axis
        z = tl.expand_dims(z, axis)
        t = distance(z, tl.expand_dims(mu, other), tl.expand_dims(inverse, other))
        total += tl.sum(log_density(t, tl.expand_dims(constant, other)), axis=0)
        start += blocks.dims
    return total


@triton.jit(do_not_specialize=["log_own", "log_next", "log_weight"])
def forward(
    z, mu, scale, weight, sums, log_prob, log_product, partials, counters,
    z_strides, mu_strides, scale_strides, shape, log_own, log_next, log_weight, form,
    by_dimension: tl.constexpr, blocks, dtype: tl.constexpr,
):  # fmt: skip
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    # One program does the joint and each dimension, or one the joint and others some dimensions each.
    chunks = tl.maximum((shape.dims + blocks.dims - 1) // blocks.dims, 1)
    jobs = chunks + 1 if by_dimension and not blocks.whole else 1
    job = tl.program_id(0) // blocks.parts % jobs
    block = tl.program_id(0) // (jobs * blocks.parts)
    point = block * blocks.own + tl.arange(0, blocks.own)
    column = job * blocks.dims + tl.arange(0, blocks.dims)
    of_points = load_points(points, point, column, shape, dtype)[:, None, :]
    greatest = tl.full((blocks.walked, blocks.own), -beyond(dtype), dtype)
    total = tl.zeros((blocks.walked, blocks.own), dtype)
    greatest_each = tl.full((blocks.dims, blocks.walked, blocks.own), -beyond(dtype), dtype)
    total_each = tl.zeros((blocks.dims, blocks.walked, blocks.own), dtype)
    part, start, end = _share(shape.components, blocks)
    # On their way one step ahead.
    next_mu, next_raw = load_components(components, start + tl.arange(0, blocks.walked), column, shape, dtype)
    while start < end:
        component = start + tl.arange(0, blocks.walked)
        of_mu, raw = next_mu, next_raw
        next_mu, next_raw = load_components(components, component + blocks.walked, column, shape, dtype)
        added = log_weights(weights, point[None, :], component[:, None], shape, dtype)
        if blocks.whole or (by_dimension and job < chunks):
            inverse, constant = normal(raw, column, shape, form)
            t = distance(of_points, of_mu[:, :, None], inverse[:, :, None])
            density = log_density(t, constant[:, :, None])
            if by_dimension:
                greatest_each, total_each = add_exponentials(density + added[None, :, :], greatest_each, total_each)
            if blocks.whole:
                greatest, total = add_exponentials(tl.sum(density, axis=0) + added, greatest, total)
        else:
            joint = _joint_by_chunks(points, components, point, component, shape, form, blocks, 1, dtype)
            greatest, total = add_exponentials(joint + added, greatest, total)
        start += blocks.walked
    # Columns of what is left: each dimension, where wanted, then all together.
    columns = shape.dims + 1 if by_dimension else 1
    last = columns - 1 + tl.arange(0, 1)
    if by_dimension and job < chunks:
        base_each, sum_each = merged(greatest_each, total_each, 1)
        inside = tl.where(column < shape.dims, column, columns)
        _leave(partials, 0, part, inside, point, columns, shape.points, base_each)
        _leave(partials, blocks.parts, part, inside, point, columns, shape.points, sum_each)
    if job == jobs - 1:
        base, sum = merged(greatest, total, 0)
        _leave(partials, 0, part, last, point, columns, shape.points, base[None, :])
        _leave(partials, blocks.parts, part, last, point, columns, shape.points, sum[None, :])
    tl.debug_barrier()
    if reduce.is_last(counters + block, jobs * blocks.parts):
        every = _tile.from_bits(log_weight.to(tl.int64), dtype)
        if by_dimension:
            _finish_each(sums, log_product, partials, every, point, shape, blocks, dtype)
        of_all = _found(partials, last, point, columns, shape, blocks, dtype)
        base, sum = tl.reshape(of_all[0], (blocks.own,)), tl.reshape(of_all[1], (blocks.own,))
        behind = sums + (point.to(tl.int64) + 1) * (columns + 1) - 2
        tl.store(behind, base, mask=point < shape.points)
        tl.store(behind + 1, sum, mask=point < shape.points)
        tl.store(log_prob + point, (log(sum) + every) + base, mask=point < shape.points)


@triton.jit
def _finish_each(sums, log_product, partials, every, point, shape, blocks, dtype: tl.constexpr):
    """The logarithm of each dimension's sum, and those of a point added up."""
    product = tl.zeros((blocks.own,), tl.float64)
    start = 0
    while start < shape.dims:
        column = start + tl.arange(0, blocks.added)
        base, sum = _found(partials, column, point, shape.dims + 1, shape, blocks, dtype)
        each = base + log(sum)
        store_matrix(sums, (shape.dims + 2, 1), point, column, shape.points, shape.dims, each)
        product += tl.sum(tl.where((column < shape.dims)[:, None], each + every, 0.0), axis=0).to(tl.float64)
        start += blocks.added
    tl.store(log_product + point, _tile.convert(product, dtype), mask=point < shape.points)


@triton.jit
def _found(partials, column, point, columns, shape, blocks, dtype: tl.constexpr):
    """(base, sum) of all parts, `[columns, points]`."""
    greatest = _all_left(partials, 0, column, point, columns, shape.points, blocks, -beyond(dtype))
    total = _all_left(partials, blocks.parts, column, point, columns, shape.points, blocks, 0.0)
    greatest, total = merged(greatest, total, 0)
    return closed(greatest, total)


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
def _weights_of_joint(joint, sums, upstream, point, shape, by_dimension: tl.constexpr, dtype: tl.constexpr):
    """The upstream gradient of each joint log-density, which are the exponents `joint` of the points `point`."""
    columns = shape.dims + 2 if by_dimension else 2
    base = _load_vector(sums + columns - 2, columns, point, shape.points, float("inf"), dtype)
    total = _load_vector(sums + columns - 1, columns, point, shape.points, 1.0, dtype)
    gradient = _load_vector(upstream[0], upstream[2], point, shape.points, 0.0, dtype) / total
    return gradient * fast_exp_of_negative(joint - base)


@triton.jit(do_not_specialize=["log_own", "log_next"])
def to_points(
    z, mu, scale, weight, sums, of_joint, of_product, grad_z, partials, counters,
    z_strides, mu_strides, scale_strides, grad_strides, joint_stride, product_stride, shape,
    log_own, log_next, form, by_dimension: tl.constexpr, blocks, dtype: tl.constexpr,
):  # fmt: skip
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    upstream = (of_joint, of_product, joint_stride, product_stride)
    chunks = (shape.dims + blocks.dims - 1) // blocks.dims
    group = tl.program_id(0) // blocks.parts
    point = group // chunks * blocks.own + tl.arange(0, blocks.own)
    first = group % chunks * blocks.dims
    column = first + tl.arange(0, blocks.dims)
    of_points = load_points(points, point, column, shape, dtype)[:, None, :]
    if by_dimension:
        log_sum = load_matrix(sums, (shape.dims + 2, 1), point, column, shape.points, shape.dims, float("inf"), dtype)
        of_each = _load_vector(of_product, product_stride, point, shape.points, 0.0, dtype)
    gradient = tl.zeros((blocks.dims, blocks.walked, blocks.own), dtype)
    part, start, end = _share(shape.components, blocks)
    next_mu, next_raw = load_components(components, start + tl.arange(0, blocks.walked), column, shape, dtype)
    while start < end:
        component = start + tl.arange(0, blocks.walked)
        of_mu, raw = next_mu, next_raw
        next_mu, next_raw = load_components(components, component + blocks.walked, column, shape, dtype)
        added = log_weights(weights, point[None, :], component[:, None], shape, dtype)
        inverse, constant = normal(raw, column, shape, form)
        inverse = inverse[:, :, None]
        t = distance(of_points, of_mu[:, :, None], inverse)
        density = log_density(t, constant[:, :, None])
        if blocks.whole:
            joint = tl.sum(density, axis=0)
        else:
            joint = _joint_by_chunks(points, components, point, component, shape, form, blocks, 1, dtype)
        w = _weights_of_joint(joint + added, sums, upstream, point[None, :], shape, by_dimension, dtype)[None, :, :]
        if by_dimension:
            exponents = density + added[None, :, :] - log_sum[:, None, :]
            w += of_each[None, None, :] * fast_exp_of_negative(exponents)
        gradient -= (w * t) * inverse
        start += blocks.walked
    _leave(partials, 0, part, column, point, shape.dims, shape.points, tl.sum(gradient, axis=1))
    tl.debug_barrier()
    if reduce.is_last(counters + group, blocks.parts):
        after = 0
        while after < blocks.dims:
            columns = first + after + tl.arange(0, blocks.added)
            value = tl.sum(_all_left(partials, 0, columns, point, shape.dims, shape.points, blocks, 0.0), axis=0)
            store_matrix(grad_z, grad_strides, point, columns, shape.points, shape.dims, value)
            after += blocks.added


@triton.jit(do_not_specialize=["log_own", "log_next"])
def to_components(
    z, mu, scale, weight, sums, of_joint, of_product, grad_mu, grad_scale, sums_of_weights, partials, counters,
    z_strides, mu_strides, scale_strides, grad_mu_strides, grad_scale_strides, joint_stride, product_stride, shape,
    log_own, log_next, form, by_dimension: tl.constexpr, blocks, dtype: tl.constexpr,
):  # fmt: skip
    points, components = Points(z, z_strides), Components(mu, scale, mu_strides, scale_strides)
    weights = Weights(weight, log_own, log_next)
    upstream = (of_joint, of_product, joint_stride, product_stride)
    chunks = tl.maximum((shape.dims + blocks.dims - 1) // blocks.dims, 1)
    group = tl.program_id(0) // blocks.parts
    component = group // chunks * blocks.own + tl.arange(0, blocks.own)
    first = group % chunks * blocks.dims
    column = first + tl.arange(0, blocks.dims)
    of_mu, raw = load_components(components, component, column, shape, dtype)
    inverse, constant = normal(raw, column, shape, form)
    to_mu = tl.zeros((blocks.dims, blocks.walked, blocks.own), dtype)
    to_scale = tl.zeros((blocks.dims, blocks.walked, blocks.own), dtype)
    to_weight = tl.zeros((blocks.walked, blocks.own), dtype)
    part, start, end = _share(shape.points, blocks)
    next_points = load_points(points, start + tl.arange(0, blocks.walked), column, shape, dtype)
    while start < end:
        point = start + tl.arange(0, blocks.walked)
        of_points = next_points[:, :, None]
        next_points = load_points(points, point + blocks.walked, column, shape, dtype)
        added = log_weights(weights, point[:, None], component[None, :], shape, dtype)
        t = distance(of_points, of_mu[:, None, :], inverse[:, None, :])
        density = log_density(t, constant[:, None, :])
        if blocks.whole:
            joint = tl.sum(density, axis=0)
        else:
            joint = _joint_by_chunks(points, components, point, component, shape, form, blocks, 2, dtype)
        of_all = _weights_of_joint(joint + added, sums, upstream, point[:, None], shape, by_dimension, dtype)
        to_weight += of_all
        w = of_all[None, :, :]
        if by_dimension:
            log_sum = load_matrix(
                sums, (shape.dims + 2, 1), point, column, shape.points, shape.dims, float("inf"), dtype
            )
            of_each = _load_vector(of_product, product_stride, point, shape.points, 0.0, dtype)
            exponents = density + added[None, :, :] - log_sum[:, :, None]
            w += of_each[None, :, None] * fast_exp_of_negative(exponents)
        pull = w * t
        to_mu += pull
        to_scale += pull * t - w
        start += blocks.walked
    count = shape.components
    alone = tl.arange(0, 1)
    of_weights = partials
    if first == 0:
        _leave(of_weights, 0, part, alone, component, 1, count, tl.sum(to_weight, axis=0)[None, :])
    partials += blocks.parts * count
    _leave(partials, 0, part, column, component, shape.dims, count, tl.sum(to_mu, axis=1))
    _leave(partials, blocks.parts, part, column, component, shape.dims, count, tl.sum(to_scale, axis=1))
    tl.debug_barrier()
    if reduce.is_last(counters + group, blocks.parts):
        _finish_components(
            grad_mu, grad_scale, grad_mu_strides, grad_scale_strides, components, partials, component, first, shape,
            form, blocks, dtype,
        )  # fmt: skip
        if sums_of_weights is not None:
            if first == 0:
                of_all = tl.sum(_all_left(of_weights, 0, alone, component, 1, count, blocks, 0.0), axis=0)
                tl.store(sums_of_weights + component, tl.reshape(of_all, (blocks.own,)), mask=component < count)


@triton.jit
def _finish_components(
    grad_mu, grad_scale, grad_mu_strides, grad_scale_strides, components, partials, component, first, shape, form,
    blocks, dtype: tl.constexpr,
):  # fmt: skip
    count = shape.components
    after = 0
    while after < blocks.dims:
        column = first + after + tl.arange(0, blocks.added)
        _, unclamped = load_components(components, component, column, shape, dtype)
        raw = scale_forms.clamp(unclamped, form)
        if grad_mu is not None:
            left = _all_left(partials, 0, column, component, shape.dims, count, blocks, 0.0)
            value = tl.sum(left, axis=0) * inverse_sigma(raw, form)
            store_matrix(grad_mu, grad_mu_strides, component, column, count, shape.dims, value)
        if grad_scale is not None:
            left = _all_left(partials, blocks.parts, column, component, shape.dims, count, blocks, 0.0)
            value = scale_forms.to_raw(0.5 * tl.sum(left, axis=0), raw, form)
            value = scale_forms.through_clamp(value, unclamped, form)
            store_matrix(grad_scale, grad_scale_strides, component, column, count, shape.dims, value)
        after += blocks.added
