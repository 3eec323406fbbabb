"""The rules of the likelihoods, whose gradients no transform writes early."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastvae._options import (
    DiscretizedMixtureOptions,
    NegativeBinomialOptions,
    ReconstructionOptions,
    reduction_scale,
)
from fastvae._vmap import _rows
from fastvae._vmap._rows import Dims, Many, One, OneResult, Results


def reconstruction(
    op: Many, rows: int, dims: Dims, input: Tensor, target: Tensor, weight: Tensor | None, log_scale: Tensor | None,
    options: ReconstructionOptions, per_sample: bool, grad: Sequence[bool],
) -> Results:  # fmt: skip
    assert not any(grad)  # nobody writes a gradient early inside a transform
    shape = _rows.row_shape(input, dims[0])
    operands = _rows.operands((input, target, weight, log_scale), dims[:4], rows, len(shape))
    reduction, batch_dims, factor = _rows.folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    loss, samples, *absent = op(*operands, over_all, False, grad)
    beside = per_sample and options.reduction != "sample"
    if beside:
        of_sample = options._replace(reduction="sample", batch_dims=options.batch_dims + 1)
        samples = op(*operands, of_sample, False, grad)[0]
    return (_rows.times(loss, factor), samples, *absent), (0, 0 if beside else None, None, None)


def reconstruction_backward(
    op: Many, rows: int, dims: Dims, grad_loss: Tensor, input: Tensor, target: Tensor, weight: Tensor | None,
    log_scale: Tensor | None, options: ReconstructionOptions, wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_loss, of_input, of_target, of_weight, of_log_scale = dims[:5]
    shape = _rows.row_shape(input, of_input)
    of_operands = (of_input, of_target, of_weight, of_log_scale)
    operands = _rows.operands((input, target, weight, log_scale), of_operands, rows, len(shape))
    reduction, batch_dims, factor = _rows.folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    gradients = op(_rows.upstream(grad_loss, of_loss, rows, factor), *operands, over_all, wanted)
    return _rows.of_operands(gradients, wanted, (input, target, log_scale), (of_input, of_target, of_log_scale))


def negative_binomial_nll(
    op: Many, rows: int, dims: Dims, mean: Tensor, target: Tensor, inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None, weight: Tensor | None, options: NegativeBinomialOptions, per_sample: bool,
    grad: Sequence[bool],
) -> Results:  # fmt: skip
    assert not any(grad)  # nobody writes a gradient early inside a transform
    shape = _rows.row_shape(mean, dims[0])
    values = (mean, target, inverse_dispersion, zero_inflation_logits, weight)
    operands = _rows.operands(values, dims[:5], rows, len(shape))
    reduction, batch_dims, factor = _rows.folded(options.reduction, options.batch_dims, shape)
    loss, samples, *absent = op(*operands, options._replace(reduction=reduction, batch_dims=batch_dims), False, grad)
    beside = per_sample and options.reduction != "sample"
    if beside:
        of_sample = options._replace(reduction="sample", batch_dims=options.batch_dims + 1)
        samples = op(*operands, of_sample, False, grad)[0]
    return (_rows.times(loss, factor), samples, *absent), (0, 0 if beside else None, None, None, None)


def negative_binomial_nll_backward(
    op: Many, rows: int, dims: Dims, grad_loss: Tensor, mean: Tensor, target: Tensor, inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None, weight: Tensor | None, options: NegativeBinomialOptions,
    wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_loss, *of_operands = dims[:6]
    shape = _rows.row_shape(mean, of_operands[0])
    values = (mean, target, inverse_dispersion, zero_inflation_logits, weight)
    operands = _rows.operands(values, of_operands, rows, len(shape))
    reduction, batch_dims, factor = _rows.folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    gradients = op(_rows.upstream(grad_loss, of_loss, rows, factor), *operands, over_all, wanted)
    differentiable = (mean, inverse_dispersion, zero_inflation_logits)
    return _rows.of_operands(gradients, wanted, differentiable, (of_operands[0], *of_operands[2:4]))


def _one_batch(values: Sequence[Tensor], dims: Dims, rows: int) -> list[Tensor]:
    """All rows of each tensor as one batch."""
    return [_rows.rows_at(0, value, dim, rows).flatten(0, 1) for value, dim in zip(values, dims, strict=True)]


def discretized_logistic_mixture_nll(
    op: Many, rows: int, dims: Dims, params: Tensor, target: Tensor, options: DiscretizedMixtureOptions,
    per_sample: bool, grad: bool,
) -> Results:  # fmt: skip
    assert not grad  # nobody writes a gradient early inside a transform
    shape = _rows.row_shape(params, dims[0])
    operands = _one_batch((params, target), dims[:2], rows)
    reduction = options.reduction
    kept = reduction if reduction == "none" else "sample"
    loss, _, absent = op(*operands, options._replace(reduction=kept), False, False)
    loss = loss.unflatten(0, (rows, shape[0]))
    beside = per_sample and reduction != "sample"
    samples = loss.flatten(2).sum(2) if beside and reduction == "none" else loss
    if reduction not in ("none", "sample"):
        factor = reduction_scale(reduction, shape.numel() // shape[options.dim], shape[0])
        loss = _rows.times(loss.sum(1, dtype=torch.float64), factor).to(loss.dtype)
    return (loss, samples if beside else absent, absent), (0, 0 if beside else None, None)


def discretized_logistic_mixture_nll_backward(
    op: One, rows: int, dims: Dims, grad_loss: Tensor, params: Tensor, target: Tensor,
    options: DiscretizedMixtureOptions,
) -> OneResult:  # fmt: skip
    shape = _rows.row_shape(params, dims[1])
    operands = _one_batch((params, target), dims[1:3], rows)
    upstream = _rows.rows_at(0, grad_loss, dims[0], rows)
    kept = options.reduction if options.reduction == "none" else "sample"
    if options.reduction not in ("none", "sample"):
        factor = reduction_scale(options.reduction, shape.numel() // shape[options.dim], shape[0])
        upstream = _rows.times(upstream, factor)[:, None].expand(rows, shape[0])
    gradient = op(upstream.flatten(0, 1), *operands, options._replace(reduction=kept))
    return gradient.unflatten(0, (rows, shape[0])), 0
