"""The negative binomial likelihood on the device: loss, per-sample sums and, where wanted, gradients in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._options import NegativeBinomialOptions
from fastvae._triton import _operands, _tile, reduce
from fastvae._triton._launch import INTERPRETED, Kernel
from fastvae._triton._layout import Plan
from fastvae._triton.negative_binomial_terms import negative_binomial

_FEATURES: Final = 1024 if INTERPRETED else 64
"""Columns of a program that sums a gradient over its rows: whole lines of memory, and a row sum a few elements long."""


@triton.jit
def _put(gradient, total, partials, tiling, at, value, by_feature: tl.constexpr):
    """Store a gradient, what each feature of the tile adds to it, or what the whole tile does."""
    if total is not None:
        reduce.add(None, total, partials, tiling, at, value)
    elif by_feature:
        _tile.store_feature_sums(gradient, tiling, at, value)
    elif gradient is not None:
        _tile.store(gradient, tiling, at, value)


@triton.jit(do_not_specialize=["factor"])
def _loss_and_gradients(
    mean, target, dispersion, logits, weight, upstream, loss, grad_mean, grad_dispersion, grad_logits,
    per_sample, total, partials, dispersion_total, dispersion_partials, logits_total, logits_partials, counters,
    tiling, factor, log_input: tl.constexpr, dispersion_by_feature: tl.constexpr, logits_by_feature: tl.constexpr,
    dtype: tl.constexpr,
):  # fmt: skip
    at = _tile.locate(tiling)
    given = _tile.load(mean, tiling, at, dtype)
    x = _tile.load(target, tiling, at, dtype)
    t = _tile.load(dispersion, tiling, at, dtype)
    q = given
    if logits is not None:
        q = _tile.load(logits, tiling, at, dtype)
    value, by_mean, by_dispersion, by_logit = negative_binomial(x, given, t, q, log_input, logits is not None)
    scale = _tile.from_bits(factor, dtype)
    if weight is not None:
        w = _tile.load(weight, tiling, at, dtype)
        value = value * w
        scale = scale * w
    if upstream is not None:
        scale = scale * _tile.load(upstream, tiling, at, dtype)
    if loss is not None:
        _tile.store(loss, tiling, at, value)
    reduce.add(per_sample, total, partials, tiling, at, value, factor)
    if grad_mean is not None:
        _tile.store(grad_mean, tiling, at, by_mean * scale)
    _put(
        grad_dispersion, dispersion_total, dispersion_partials, tiling, at, by_dispersion * scale, dispersion_by_feature
    )
    _put(grad_logits, logits_total, logits_partials, tiling, at, by_logit * scale, logits_by_feature)
    reduce.finish(
        counters, tiling, per_sample, total, partials, dispersion_total, dispersion_partials, logits_total,
        logits_partials,
    )  # fmt: skip


def _derived(mean: Tensor, options: NegativeBinomialOptions, *by_feature: bool) -> tuple[Any, ...]:
    factor = _operands.factor(options.reduction, mean.shape, options.batch_dims)
    return factor, options.log_input, *by_feature


_RUN: Final = Kernel(_loss_and_gradients, pointers=8, derived=_derived, per_thread=16)


class _Summed:
    """Where the gradient of an operand goes that may be broadcast.

    Sums of the whole where it is one value; where it is the same for all samples, sums of each feature over the rows of
    a tile; else the full shape, narrowed.
    """

    def __init__(self, gradient: Tensor | None, mean: Tensor, batch_dims: int) -> None:
        self.gradient = gradient
        self._mean = mean
        shape = None if gradient is None else (1,) * (mean.dim() - gradient.dim()) + tuple(gradient.shape)
        broadcast = shape is not None and shape != tuple(mean.shape)
        self.total = gradient if broadcast and gradient is not None and gradient.numel() == 1 else None
        features = (1,) * batch_dims + tuple(mean.shape[batch_dims:])
        self.by_feature = broadcast and self.total is None and shape == features
        self.written: Tensor | None = None
        if self.by_feature:
            self.written = mean.new_empty((1, *features[batch_dims:]), dtype=_outputs.compute_dtype(mean))
        elif self.total is None:
            self.written = _operands.full_gradient(gradient, mean)

    @property
    def operand(self) -> Tensor | None:
        if self.written is None or not self.by_feature:
            return self.written
        return self.written[0].expand(self._mean.shape)

    def prepare(self, plan: Plan) -> reduce.Sums:
        """Make room for the sums of `plan`; those of the whole are returned."""
        if self.by_feature and self.written is not None:
            blocks = -(-plan.tiling.rows // plan.tiling.tile_rows.value)
            self.written = self.written.new_empty((blocks, *self.written.shape[1:]))
        return reduce.sums(plan, None, self.total)

    def finish(self) -> None:
        if self.gradient is None or self.total is not None:
            return
        if self.by_feature and self.written is not None:
            self.gradient.copy_(self.written.sum(0, dtype=torch.float64).reshape(self.gradient.shape))
        else:
            _operands.narrow(self.written, self.gradient)


def _bytes(value: Tensor) -> Tensor:
    """A bool tensor as the bytes it is made of."""
    return value.view(torch.uint8) if value.dtype == torch.bool else value


class Pair(NamedTuple):
    """The arguments that both ops share."""

    mean: Tensor
    target: Tensor
    inverse_dispersion: Tensor
    zero_inflation_logits: Tensor | None
    weight: Tensor | None
    options: NegativeBinomialOptions

    def run(
        self, upstream: Tensor | None, loss: Tensor | None, per_sample: Tensor | None, total: Tensor | None,
        gradients: Sequence[Tensor | None],
    ) -> None:  # fmt: skip
        """Fill in the unreduced loss, its sums and the gradients, None where not wanted."""
        mean, target, dispersion, logits, weight, options = self
        to_mean, *others = gradients
        of_dispersion, of_logits = (_Summed(gradient, mean, options.batch_dims) for gradient in others)
        by_feature = of_dispersion.by_feature, of_logits.by_feature
        parameters = _operands.expanded((dispersion, logits, None if weight is None else _bytes(weight)), mean.shape)
        inputs = (mean, target, *parameters, upstream, loss, to_mean)
        rows = options.batch_dims if per_sample is not None or any(by_feature) else 0
        plan, launch = _RUN.over(
            (*inputs, of_dispersion.operand, of_logits.operand),
            rows,
            options,
            *by_feature,
            beside=(per_sample, total, of_dispersion.total, of_logits.total),
            widest=_FEATURES if any(by_feature) else None,
        )
        sums = reduce.sums(plan, per_sample, total)
        whole = of_dispersion.prepare(plan), of_logits.prepare(plan)
        given = (*inputs, of_dispersion.operand, of_logits.operand)
        launch(*given, *sums, *whole[0][1:], *whole[1][1:], reduce.counters(plan, sums, *whole))
        of_dispersion.finish()
        of_logits.finish()


def negative_binomial_nll(
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None,
    weight: Tensor | None,
    options: NegativeBinomialOptions,
    per_sample: bool,
    grad: Sequence[bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """(loss, per-sample sums, gradients for an upstream of 1 of the three operands), None where not asked for."""
    _, reduction, batch_dims = options
    outputs = _outputs.negative_binomial_nll(mean, inverse_dispersion, zero_inflation_logits, options, per_sample, grad)
    loss, beside, *gradients = outputs
    if mean.numel() == 0:
        reduce.of_nothing(loss, reduction, mean.shape[:batch_dims].numel())
        _operands.zero((beside, *gradients))
        return outputs
    samples = loss if reduction == "sample" else beside
    elementwise = loss if reduction == "none" else None
    total = None if reduction in ("none", "sample") else loss
    pair = Pair(mean, target, inverse_dispersion, zero_inflation_logits, weight, options)
    pair.run(None, elementwise, samples, total, gradients)
    return outputs


def negative_binomial_nll_backward(
    grad_loss: Tensor,
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None,
    weight: Tensor | None,
    options: NegativeBinomialOptions,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """The gradients of mean, inverse_dispersion and zero_inflation_logits, None where not wanted."""
    gradients = _outputs.gradients(wanted, mean, inverse_dispersion, zero_inflation_logits)
    if mean.numel() == 0:
        _operands.zero(gradients)
        return gradients
    upstream = _operands.upstream(grad_loss, mean.shape, options.reduction, options.batch_dims)
    pair = Pair(mean, target, inverse_dispersion, zero_inflation_logits, weight, options)
    pair.run(upstream, None, None, None, gradients)
    return gradients
