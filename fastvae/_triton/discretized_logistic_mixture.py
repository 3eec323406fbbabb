"""The mixture of discretized logistics on the device, a pixel a lane.

Where there is a gradient, components are walked twice: for the sum of their probabilities, then for each one's share.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._options import DiscretizedMixtureOptions
from fastvae._triton import _operands, _tile, reduce
from fastvae._triton._launch import INTERPRETED, Blocking, Kernel
from fastvae._triton.discretized_logistic import level, quotient, tanh
from fastvae._triton.elementary import constant_like
from fastvae._triton.exponential import exp
from fastvae._triton.logarithm import log

_LANES: Final = Blocking(4096, 128) if INTERPRETED else Blocking(128, 128)


@triton.jit
def _parameter(params, tiling, at, stride, count, m, channel, kind, kinds: tl.constexpr, dtype: tl.constexpr):
    """Mean, log scale or coefficient, by `kind`, of component m."""
    return _tile.load_at(params, ((channel * kinds + kind + 1) * count + m) * stride, tiling, at, dtype)


@triton.jit
def _put(grad, tiling, at, stride, count, m, channel, kind, kinds: tl.constexpr, value):
    _tile.store_at(grad, ((channel * kinds + kind + 1) * count + m) * stride, tiling, at, value)


@triton.jit
def _target(target, tiling, at, further, levels, bytes: tl.constexpr, dtype: tl.constexpr):
    """A channel of the target in [-1, 1]."""
    x = _tile.load_at(target, further, tiling, at, dtype)
    if bytes:
        x = quotient(x, constant_like(x, 0.0) + levels.to(dtype)) * 2.0 - 1.0
    return x


@triton.jit
def _grey(params, tiling, at, stride, count, m, x, half, dtype: tl.constexpr):
    """The log-probability of component m without its weight, and the gradients of mean and log scale: one channel."""
    mean = _parameter(params, tiling, at, stride, count, m, 0, 0, 2, dtype)
    raw = _parameter(params, tiling, at, stride, count, m, 0, 1, 2, dtype)
    exponent, factor, of_mean, of_log_scale = level(x, mean, raw, half)
    return exponent + log(factor), of_mean, of_log_scale


@triton.jit
def _colour(params, tiling, at, stride, count, m, x, half, dtype: tl.constexpr):
    """The same of three channels, each with the gradients of mean, log scale and coefficient."""
    x0, x1, x2 = x
    t0, s0 = tanh(_parameter(params, tiling, at, stride, count, m, 0, 2, 3, dtype))
    t1, s1 = tanh(_parameter(params, tiling, at, stride, count, m, 1, 2, 3, dtype))
    t2, s2 = tanh(_parameter(params, tiling, at, stride, count, m, 2, 2, 3, dtype))
    mean = _parameter(params, tiling, at, stride, count, m, 0, 0, 3, dtype)
    raw = _parameter(params, tiling, at, stride, count, m, 0, 1, 3, dtype)
    exponent0, factor0, mean0, scale0 = level(x0, mean, raw, half)
    mean = _parameter(params, tiling, at, stride, count, m, 1, 0, 3, dtype) + t0 * x0
    raw = _parameter(params, tiling, at, stride, count, m, 1, 1, 3, dtype)
    exponent1, factor1, mean1, scale1 = level(x1, mean, raw, half)
    mean = _parameter(params, tiling, at, stride, count, m, 2, 0, 3, dtype) + (t1 * x0 + t2 * x1)
    raw = _parameter(params, tiling, at, stride, count, m, 2, 1, 3, dtype)
    exponent2, factor2, mean2, scale2 = level(x2, mean, raw, half)
    log_prob = exponent0 + exponent1 + exponent2 + log(factor0 * factor1 * factor2)
    return (
        log_prob, mean0, scale0, mean1 * x0 * s0, mean1, scale1, mean2 * x0 * s1, mean2, scale2, mean2 * x1 * s2,
    )  # fmt: skip


@triton.jit
def _put_channel(
    params, grad, tiling, at, stride, grad_stride, count, m, channel, x, shift, weight, half, dtype: tl.constexpr
):
    """Computes one of three channels once more and stores the gradients of mean and log scale; returns the former."""
    mean = _parameter(params, tiling, at, stride, count, m, channel, 0, 3, dtype) + shift
    raw = _parameter(params, tiling, at, stride, count, m, channel, 1, 3, dtype)
    _, _, of_mean, of_log_scale = level(x, mean, raw, half)
    _put(grad, tiling, at, grad_stride, count, m, channel, 0, 3, weight * of_mean)
    _put(grad, tiling, at, grad_stride, count, m, channel, 1, 3, weight * of_log_scale)
    return weight * of_mean


@triton.jit
def _put_colour(params, grad, tiling, at, stride, grad_stride, count, m, x, weight, half, dtype: tl.constexpr):
    """The gradients of one component channel by channel: float64 has no registers for all of them at once."""
    x0, x1, x2 = x
    nothing = constant_like(x0, 0.0)
    _put_channel(params, grad, tiling, at, stride, grad_stride, count, m, 0, x0, nothing, weight, half, dtype)
    t0, s0 = tanh(_parameter(params, tiling, at, stride, count, m, 0, 2, 3, dtype))
    of_mean = _put_channel(params, grad, tiling, at, stride, grad_stride, count, m, 1, x1, t0 * x0, weight, half, dtype)
    _put(grad, tiling, at, grad_stride, count, m, 0, 2, 3, of_mean * x0 * s0)
    t1, s1 = tanh(_parameter(params, tiling, at, stride, count, m, 1, 2, 3, dtype))
    t2, s2 = tanh(_parameter(params, tiling, at, stride, count, m, 2, 2, 3, dtype))
    of_mean = _put_channel(
        params, grad, tiling, at, stride, grad_stride, count, m, 2, x2, t1 * x0 + t2 * x1, weight, half, dtype
    )
    _put(grad, tiling, at, grad_stride, count, m, 1, 2, 3, of_mean * x0 * s1)
    _put(grad, tiling, at, grad_stride, count, m, 2, 2, 3, of_mean * x1 * s2)


@triton.jit
def _raised(value, greatest, total):
    """(greatest, sum of exp(value - greatest)) with one value more; `base` stands for an infinite greatest."""
    higher = tl.where(value > greatest, value, greatest)
    base = tl.where(tl.abs(higher) == float("inf"), 0.0, higher)
    previous = tl.where(tl.abs(greatest) == float("inf"), base, greatest)
    return higher, total * exp(previous - base) + exp(value - base)


@triton.jit(do_not_specialize=["factor", "levels"])
def _loss_and_gradients(
    parameters, target, upstream, loss, grad, per_sample, total_loss, partials, counters, tiling, factor, levels,
    count, stride, target_stride, grad_stride, channels: tl.constexpr, bytes: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    at = _tile.locate(tiling)
    none = tl.program_id(0).to(tl.int64) * 0  # of components, and of channels
    levels = _tile.from_bits(levels, tl.float64)
    half = (1.0 / levels).to(dtype)
    x0 = _target(target, tiling, at, none * target_stride, levels, bytes, dtype)
    if channels == 3:
        x1 = _target(target, tiling, at, (none + 1) * target_stride, levels, bytes, dtype)
        x2 = _target(target, tiling, at, (none + 2) * target_stride, levels, bytes, dtype)
        x = (x0, x1, x2)
    total, prior_total = constant_like(x0, 0.0), constant_like(x0, 0.0)
    greatest, greatest_logit = constant_like(x0, -float("inf")), constant_like(x0, -float("inf"))
    m = none
    while m < count:
        logit = _tile.load_at(parameters, m * stride, tiling, at, dtype)
        if channels == 3:
            parts = _colour(parameters, tiling, at, stride, count, m, x, half, dtype)
        else:
            parts = _grey(parameters, tiling, at, stride, count, m, x0, half, dtype)
        greatest, total = _raised(parts[0] + logit, greatest, total)
        greatest_logit, prior_total = _raised(logit, greatest_logit, prior_total)
        m += 1
    if loss is not None or per_sample is not None or total_loss is not None:
        value = (greatest_logit - greatest) + log(prior_total / total)
        if loss is not None:
            _tile.store(loss, tiling, at, value)
        reduce.add(per_sample, total_loss, partials, tiling, at, value, factor)
    if grad is not None:
        gradient = constant_like(x0, 0.0) - _tile.from_bits(factor, dtype)
        if upstream is not None:
            gradient = gradient * _tile.load(upstream, tiling, at, dtype)
        greatest = tl.where(tl.abs(greatest) == float("inf"), 0.0, greatest)
        total, prior_total = gradient / total, gradient / prior_total
        m = none
        while m < count:
            logit = _tile.load_at(parameters, m * stride, tiling, at, dtype)
            if channels == 3:
                parts = _colour(parameters, tiling, at, stride, count, m, x, half, dtype)
            else:
                parts = _grey(parameters, tiling, at, stride, count, m, x0, half, dtype)
            weight = exp(parts[0] + logit - greatest) * total
            of_logit = weight - exp(logit - greatest_logit) * prior_total
            _tile.store_at(grad, m * grad_stride, tiling, at, of_logit)
            if channels == 3 and dtype == tl.float64:
                _put_colour(parameters, grad, tiling, at, stride, grad_stride, count, m, x, weight, half, dtype)
            else:
                kinds: tl.constexpr = 3 if channels == 3 else 2
                for part in tl.static_range(channels * kinds):
                    _put(grad, tiling, at, grad_stride, count, m, 0, part, kinds, weight * parts[part + 1])
            m += 1
    reduce.finish(counters, tiling, per_sample, total_loss, partials)


def _derived(pixels: Tensor, options: DiscretizedMixtureOptions, *channels: int) -> tuple[Any, ...]:
    factor = _operands.factor(options.reduction, pixels.shape, 1)
    return factor, _operands.float_bits(2.0**options.bits - 1), options.num_mixtures, *channels


_MIXTURE: Final = Kernel(_loss_and_gradients, pointers=4, derived=_derived, covering=lambda like: _LANES)


def _run(
    params: Tensor,
    target: Tensor,
    options: DiscretizedMixtureOptions,
    upstream: Tensor | None,
    loss: Tensor | None,
    per_sample: Tensor | None,
    grad: Tensor | None,
) -> None:
    """Fill in the loss, the per-sample sums and the gradient, None where not wanted."""
    dim, reduction = options.dim, options.reduction
    pixels = params.select(dim, 0)
    batch = params.shape[:1].numel()
    if pixels.numel() == 0:
        if loss is not None:
            reduce.of_nothing(loss, reduction, batch)
        if per_sample is not None:
            per_sample.zero_()
        return
    samples = loss if reduction == "sample" else per_sample
    total = None if reduction in ("none", "sample") else loss
    operands = (
        pixels,
        target.select(dim, 0),
        None if upstream is None else _operands.upstream(upstream, pixels.shape, reduction, 1),
        loss if reduction == "none" else None,
        None if grad is None else grad.select(dim, 0),
    )
    arguments = (
        options,
        params.stride(dim),
        target.stride(dim),
        0 if grad is None else grad.stride(dim),
        target.shape[dim],
        target.dtype == torch.uint8,
    )
    plan, launch = _MIXTURE.over(operands, 0 if samples is None else 1, *arguments, beside=(samples, total))
    sums = reduce.sums(plan, samples, total)
    launch(*operands, *sums, reduce.counters(plan, sums))


def discretized_logistic_mixture_nll(
    params: Tensor, target: Tensor, options: DiscretizedMixtureOptions, per_sample: bool, grad: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(loss, per-sample sums, gradient of params for an upstream of 1), None where not asked for."""
    outputs = _outputs.discretized_logistic_mixture_nll(params, options, per_sample, grad)
    _run(params, target, options, None, *outputs)
    return outputs


def discretized_logistic_mixture_nll_backward(
    grad_loss: Tensor, params: Tensor, target: Tensor, options: DiscretizedMixtureOptions
) -> Tensor:
    """The gradient of params."""
    grad = torch.empty_like(params)
    _run(params, target, options, grad_loss, None, None, grad)
    return grad
