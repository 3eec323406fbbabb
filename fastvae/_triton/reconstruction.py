"""Reconstruction losses on the device: loss, per-sample sums and, where wanted, the gradient in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._likelihoods import LOSSES
from fastvae._options import ReconstructionOptions
from fastvae._triton import _operands, _tile, likelihoods, reduce
from fastvae._triton._launch import Kernel

_SCALE_PROGRAMS = 2048
"""Enough to fill a device. Most upstream gradients are 1, where each program only costs its launch."""

_FLAT: Final = tl.constexpr(1024)
"""Elements that a program scales at once of a gradient that is dense."""


@triton.jit
def _load_pair(input, target, log_scale, tiling, at, pixels: tl.constexpr, dtype: tl.constexpr):
    """(input, target as numbers, log sigma or the input in its place)."""
    x = _tile.load(input, tiling, at, dtype)
    t = _tile.load(target, tiling, at, dtype)
    if pixels:
        t = likelihoods.pixel(t)
    if log_scale is None:
        return x, t, x
    else:
        return x, t, _tile.load(log_scale, tiling, at, dtype)


@triton.jit(do_not_specialize=["factor"])
def _forward(
    input, target, weight, log_scale, loss, grad, grad_log_scale, per_sample, total, partials, scale_total,
    scale_partials, counters, tiling, factor, likelihood: tl.constexpr, full: tl.constexpr, pixels: tl.constexpr,
    dtype: tl.constexpr,
):  # fmt: skip
    at = _tile.locate(tiling)
    x, t, log_sigma = _load_pair(input, target, log_scale, tiling, at, pixels, dtype)
    value, slope, _, scale_slope = likelihood(x, t, log_sigma, full)
    if weight is not None:
        w = _tile.load(weight, tiling, at, dtype)
        value = value * w
    if loss is not None:
        _tile.store(loss, tiling, at, value)
    reduce.add(per_sample, total, partials, tiling, at, value, factor)
    if grad is not None:
        if weight is not None:
            slope = slope * w
        _tile.store(grad, tiling, at, slope * _tile.from_bits(factor, dtype))
    if grad_log_scale is not None or scale_total is not None:
        if weight is not None:
            scale_slope = scale_slope * w
        if grad_log_scale is not None:
            _tile.store(grad_log_scale, tiling, at, scale_slope * _tile.from_bits(factor, dtype))
        reduce.add(None, scale_total, scale_partials, tiling, at, scale_slope, factor)
    reduce.finish(counters, tiling, per_sample, total, partials, scale_total, scale_partials)


@triton.jit(do_not_specialize=["factor"])
def _backward(
    input, target, weight, log_scale, upstream, grad_input, grad_target, grad_log_scale, scale_total, scale_partials,
    counters, tiling, factor, likelihood: tl.constexpr, pixels: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    at = _tile.locate(tiling)
    x, t, log_sigma = _load_pair(input, target, log_scale, tiling, at, pixels, dtype)
    gradient = _tile.load(upstream, tiling, at, dtype) * _tile.from_bits(factor, dtype)
    if weight is not None:
        gradient = gradient * _tile.load(weight, tiling, at, dtype)
    _, slope, target_slope, scale_slope = likelihood(x, t, log_sigma, False)
    if grad_input is not None:
        _tile.store(grad_input, tiling, at, gradient * slope)
    if grad_target is not None:
        _tile.store(grad_target, tiling, at, gradient * target_slope)
    if grad_log_scale is not None:
        _tile.store(grad_log_scale, tiling, at, gradient * scale_slope)
    reduce.add(None, scale_total, scale_partials, tiling, at, gradient * scale_slope)
    reduce.finish(counters, tiling, None, scale_total, scale_partials)


@triton.jit
def _scale(first, second, third, upstream, tiling, second_count, third_count, dtype: tl.constexpr):
    factor = _tile.convert(tl.load(upstream), dtype)
    if factor != 1.0:
        tile = _tile.program(tiling)
        tiles = tl.cdiv(tiling.rows, tiling.tile_rows) * tiling.chunks
        while tile < tiles:
            row_block, chunk = _tile.block_of(tiling, tile)
            at = _tile.locate_at(tiling, row_block, chunk)
            _tile.store(first, tiling, at, _tile.load(first, tiling, at, dtype) * factor)
            tile += tl.num_programs(0)
        _scale_dense(second, second_count, factor)
        _scale_dense(third, third_count, factor)


@triton.jit
def _scale_dense(pointer, count, factor):
    if pointer is not None:
        start = tl.program_id(0).to(tl.int64) * _FLAT
        while start < count:
            index = start + tl.arange(0, _FLAT)
            value = _tile.convert(tl.load(pointer + index, mask=index < count, other=0), factor.dtype) * factor
            tl.store(pointer + index, _tile.convert(value, pointer.dtype.element_ty), mask=index < count)
            start += tl.num_programs(0) * _FLAT


def _of_forward(input: Tensor, options: ReconstructionOptions, pixels: bool) -> tuple[Any, ...]:
    factor, likelihood, pixels = _of_backward(input, options, pixels)
    return factor, likelihood, options.full, pixels


def _of_backward(input: Tensor, options: ReconstructionOptions, pixels: bool) -> tuple[Any, ...]:
    factor = _operands.factor(options.reduction, input.shape, options.batch_dims)
    return factor, likelihoods.LIKELIHOODS[options.loss], pixels


_FORWARD: Final = Kernel(_forward, pointers=6, derived=_of_forward)
_BACKWARD: Final = Kernel(_backward, pointers=3, derived=_of_backward)
_SCALE: Final = Kernel(_scale, pointers=3, programs=lambda plan: min(plan.programs, _SCALE_PROGRAMS))


def _bytes(value: Tensor) -> Tensor:
    """A bool tensor as the bytes it is made of."""
    return value.view(torch.uint8) if value.dtype == torch.bool else value


class Pair(NamedTuple):
    """The arguments that every op of this family shares."""

    input: Tensor
    target: Tensor
    weight: Tensor | None
    log_scale: Tensor | None
    options: ReconstructionOptions

    @property
    def operands(self) -> tuple[Tensor | None, ...]:
        """input, target, weight and log_scale in the shape of the input."""
        weight = None if self.weight is None else _bytes(self.weight)
        return self.input, _bytes(self.target), *_operands.expanded((weight, self.log_scale), self.input.shape)

    @property
    def holds_pixels(self) -> bool:
        """Are the bytes of the target read as value / 255?"""
        return self.target.dtype == torch.uint8 and not LOSSES[self.options.loss].counts


class _LogScale:
    """Where the gradient of log_scale goes: sums of the whole where it is one value, else the full shape, narrowed."""

    def __init__(self, gradient: Tensor | None, input: Tensor) -> None:
        self._gradient = gradient
        self.total = gradient if gradient is not None and gradient.numel() == 1 else None
        self.written = None if self.total is not None else _operands.full_gradient(gradient, input)

    def finish(self) -> None:
        """Sum what was written at the full shape."""
        if self.total is None:
            _operands.narrow(self.written, self._gradient)


def _run(pair: Pair, loss: Tensor, per_sample: Tensor | None, *grads: Tensor | None) -> None:
    """Fill in the loss, the per-sample sums and the gradients of input and log_scale, None where not wanted."""
    input, (_, _, reduction, batch_dims) = pair.input, pair.options
    if input.numel() == 0:
        reduce.of_nothing(loss, reduction, input.shape[:batch_dims].numel())
        if per_sample is not None:
            per_sample.zero_()
        _operands.zero(grads)
        return
    grad, to_log_scale = grads
    of_scale = _LogScale(to_log_scale, input)
    samples = loss if reduction == "sample" else per_sample
    operands = (*pair.operands, loss if reduction == "none" else None, grad, of_scale.written)
    total = None if reduction in ("none", "sample") else loss
    rows = 0 if samples is None else batch_dims
    beside = samples, total, of_scale.total
    plan, launch = _FORWARD.over(operands, rows, pair.options, pair.holds_pixels, beside=beside)
    sums, scale_sums = reduce.sums(plan, samples, total), reduce.sums(plan, None, of_scale.total)
    launch(*operands, *sums, *scale_sums[1:], reduce.counters(plan, sums, scale_sums))
    of_scale.finish()


def reconstruction(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    options: ReconstructionOptions,
    per_sample: bool,
    grad: Sequence[bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """(loss, per-sample sums, gradients of input and log_scale for an upstream of 1), None where not asked for."""
    outputs = _outputs.reconstruction(input, log_scale, options, per_sample, grad)
    _run(Pair(input, target, weight, log_scale, options), *outputs)
    return outputs


def reconstruction_inplace(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    options: ReconstructionOptions,
    per_sample: bool,
) -> tuple[Tensor, Tensor | None]:
    """(loss, per-sample sums); the gradient is written over the input."""
    loss, samples, *_ = _outputs.reconstruction(input, None, options, per_sample, (False, False))
    _run(Pair(input, target, weight, log_scale, options), loss, samples, input, None)
    return loss, samples


def reconstruction_backward(
    grad_loss: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    options: ReconstructionOptions,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """The gradients of input, target and log_scale, None where not wanted."""
    pair = Pair(input, target, weight, log_scale, options)
    gradients = _outputs.gradients(wanted, input, target, log_scale)
    if input.numel() == 0:
        _operands.zero(gradients)
        return gradients
    to_input, to_target, to_log_scale = gradients
    of_scale = _LogScale(to_log_scale, input)
    upstream = _operands.upstream(grad_loss, input.shape, options.reduction, options.batch_dims)
    operands = (*pair.operands, upstream, to_input, to_target, of_scale.written)
    plan, launch = _BACKWARD.over(operands, 0, options, pair.holds_pixels, beside=(of_scale.total,))
    sums = reduce.sums(plan, None, of_scale.total)
    launch(*operands, *sums[1:], reduce.counters(plan, sums))
    of_scale.finish()
    return gradients


def scale_gradients(first: Tensor, second: Tensor | None, third: Tensor | None, upstream: Tensor) -> None:
    """Multiply gradients by the scalar `upstream`, read on the device; an upstream of 1 touches no memory."""
    if first.numel():
        counts = 0 if second is None else second.numel(), 0 if third is None else third.numel()
        _, launch = _SCALE.over((first,), 0, *counts, beside=(second, third, upstream))
        launch(first, second, third, upstream)
