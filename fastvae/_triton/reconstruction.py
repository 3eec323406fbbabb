"""Reconstruction losses on the device: loss, per-sample sums and, where wanted, the gradient in one pass."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._triton import _operands, _tile, likelihoods, reduce
from fastvae._triton._launch import Kernel

_SCALE_PROGRAMS = 2048
"""Enough to fill a device. Most upstream gradients are 1, where each program only costs its launch."""


@triton.jit
def _load_pair(input, target, log_scale, tiling, at, is_byte: tl.constexpr, dtype: tl.constexpr):
    """(input, target as numbers, log sigma or the input in its place)."""
    x = _tile.load(input, tiling, at, dtype)
    t = likelihoods.target_values(_tile.load(target, tiling, at, dtype), is_byte)
    if log_scale is None:
        return x, t, x
    else:
        return x, t, _tile.load(log_scale, tiling, at, dtype)


@triton.jit(do_not_specialize=["factor"])
def _forward(
    input, target, weight, log_scale, loss, grad, partials, tiling, factor, name: tl.constexpr, full: tl.constexpr,
    is_byte: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    at = _tile.locate(tiling)
    x, t, log_sigma = _load_pair(input, target, log_scale, tiling, at, is_byte, dtype)
    value = likelihoods.loss(x, t, log_sigma, name, full)
    if weight is not None:
        w = _tile.load(weight, tiling, at, dtype)
        value = value * w
    if loss is not None:
        _tile.store(loss, tiling, at, value)
    if partials is not None:
        _tile.store_sums(partials, tiling, at, value)
    if grad is not None:
        slope = likelihoods.input_slope(x, t, log_sigma, name)
        if weight is not None:
            slope = slope * w
        _tile.store(grad, tiling, at, slope * _tile.from_bits(factor, dtype))


@triton.jit(do_not_specialize=["factor"])
def _backward(
    input, target, weight, log_scale, upstream, grad_input, grad_target, grad_log_scale, partials, tiling, factor,
    name: tl.constexpr, is_byte: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    at = _tile.locate(tiling)
    x, t, log_sigma = _load_pair(input, target, log_scale, tiling, at, is_byte, dtype)
    gradient = _tile.load(upstream, tiling, at, dtype) * _tile.from_bits(factor, dtype)
    if weight is not None:
        gradient = gradient * _tile.load(weight, tiling, at, dtype)
    if grad_input is not None:
        _tile.store(grad_input, tiling, at, gradient * likelihoods.input_slope(x, t, log_sigma, name))
    if grad_target is not None:
        _tile.store(grad_target, tiling, at, gradient * likelihoods.target_slope(x, t, log_sigma, name))
    if grad_log_scale is not None:
        _tile.store(grad_log_scale, tiling, at, gradient * likelihoods.log_sigma_slope(x, t, log_sigma))
    if partials is not None:
        _tile.store_sums(partials, tiling, at, gradient * likelihoods.log_sigma_slope(x, t, log_sigma))


@triton.jit
def _scale(grad, upstream, tiling, dtype: tl.constexpr):
    factor = _tile.convert(tl.load(upstream), dtype)
    if factor != 1.0:
        tile = tl.program_id(0)
        tiles = tl.cdiv(tiling.rows, tiling.tile_rows) * tiling.chunks
        while tile < tiles:
            at = _tile.locate_at(tiling, tile.to(tl.int64) // tiling.chunks, tile.to(tl.int64) % tiling.chunks)
            _tile.store(grad, tiling, at, _tile.load(grad, tiling, at, dtype) * factor)
            tile += tl.num_programs(0)


_FORWARD: Final = Kernel(_forward, pointers=1)
_BACKWARD: Final = Kernel(_backward, pointers=1)
_SCALE: Final = Kernel(_scale, pointers=1, programs=lambda plan: min(plan.programs, _SCALE_PROGRAMS))


def _bytes(value: Tensor) -> Tensor:
    """A bool tensor as the bytes it is made of."""
    return value.view(torch.uint8) if value.dtype == torch.bool else value


class Pair(NamedTuple):
    """The arguments that every op of this family shares, in the order of its schema."""

    input: Tensor
    target: Tensor
    weight: Tensor | None
    log_scale: Tensor | None
    full: bool
    reduction: str
    batch_dims: int

    @property
    def operands(self) -> tuple[Tensor | None, ...]:
        """input, target, weight and log_scale in the shape of the input."""
        weight = None if self.weight is None else _bytes(self.weight)
        return self.input, _bytes(self.target), *_operands.expanded((weight, self.log_scale), self.input.shape)

    @property
    def factor(self) -> int:
        return _operands.factor(self.reduction, self.input.shape, self.batch_dims)

    @property
    def is_byte(self) -> bool:
        return self.target.dtype == torch.uint8


def _run(name: str, pair: Pair, loss: Tensor, per_sample: Tensor | None, grad: Tensor | None) -> None:
    """Fill in the loss, the per-sample sums and the gradient, None where not wanted."""
    input, reduction = pair.input, pair.reduction
    if input.numel() == 0:
        reduce.of_nothing(loss, reduction, input.shape[: pair.batch_dims].numel())
        if per_sample is not None:
            per_sample.zero_()
        return
    samples = loss if reduction == "sample" else per_sample
    operands = (*pair.operands, loss if reduction == "none" else None, grad)
    rows = 0 if samples is None else pair.batch_dims
    summed = samples if samples is not None else loss if reduction != "none" else None
    plan, launch = _FORWARD.over(operands, rows, pair.factor, name, pair.full, pair.is_byte, beside=(summed,))
    kept = "sample" if samples is not None else reduction
    partials = None if summed is None else reduce.partial_sums(plan, summed, kept)
    launch(*operands, partials)
    if partials is not None and samples is not None:
        reduce.samples(partials, samples)
    if partials is not None and reduction not in ("none", "sample"):
        reduce.total(partials, loss, pair.factor)


def reconstruction(name: str, *arguments: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(loss, per-sample sums, gradient of the input for an upstream of 1), the last two None where not asked for.

    Behind `Pair`'s arguments come the two flags.
    """
    *rest, per_sample, grad = arguments
    pair = Pair(*rest)
    loss, samples, gradient = _outputs.reconstruction(pair.input, pair.reduction, pair.batch_dims, per_sample, grad)
    _run(name, pair, loss, samples, gradient)
    return loss, samples, gradient


def reconstruction_inplace(name: str, *arguments: Any) -> tuple[Tensor, Tensor | None]:
    """(loss, per-sample sums); the gradient is written over the input."""
    *rest, per_sample = arguments
    pair = Pair(*rest)
    loss, samples, _ = _outputs.reconstruction(pair.input, pair.reduction, pair.batch_dims, per_sample, False)
    _run(name, pair, loss, samples, pair.input)
    return loss, samples


def reconstruction_backward(name: str, grad_loss: Tensor, *arguments: Any) -> tuple[Tensor | None, ...]:
    """The gradients of input, target and log_scale, None where not wanted; `wanted` comes last."""
    *rest, wanted = arguments
    pair = Pair(*rest)
    input = pair.input
    gradients = _outputs.gradients(wanted, input, pair.target, pair.log_scale)
    if input.numel() == 0:
        _operands.zero(gradients)
        return gradients
    to_input, to_target, to_log_scale = gradients
    shared = to_log_scale is not None and to_log_scale.numel() == 1
    written = None if shared else _operands.full_gradient(to_log_scale, input)
    upstream = _operands.upstream(grad_loss, input.shape, pair.reduction, pair.batch_dims)
    operands = (*pair.operands, upstream, to_input, to_target, written)
    plan, launch = _BACKWARD.over(operands, 0, pair.factor, name, pair.is_byte, beside=(to_log_scale,))
    partials = reduce.partial_sums(plan, input, "sum") if shared else None
    launch(*operands, partials)
    if partials is not None and to_log_scale is not None:
        reduce.total(partials, to_log_scale, reduce.ONE)
    _operands.narrow(written, to_log_scale)
    return gradients


def scale_gradient(grad: Tensor, upstream: Tensor) -> None:
    """Multiply `grad` by the scalar `upstream`, read on the device; an upstream of 1 touches no memory."""
    if grad.numel():
        _, launch = _SCALE.over((grad,), 0, beside=(upstream,))
        launch(grad, upstream)
