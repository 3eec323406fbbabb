"""The rules of the ops for `torch.func.vmap`: one call for all rows, which become a further, leading dimension.

A reduction of each row to a scalar becomes the per-sample reduction of the call over all rows, times the factor of a
mean. Noise is drawn before the call, row by row: rows that share a seed have the same eps.

A rule takes the op, the number of rows, the batched dimension of each argument (None where it has none) and the op's
arguments; it returns the outputs and their batched dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from fastvae._layout import unpacked_shape
from fastvae._options import (
    DensityOptions,
    DiscretizedMixtureOptions,
    NegativeBinomialOptions,
    Packing,
    PosteriorOptions,
    ReconstructionOptions,
    ScaleForm,
    reduction_scale,
)
from fastvae._schema import flat

Dims = Sequence[int | None]
One = Callable[..., Tensor]
Many = Callable[..., tuple[Tensor, ...]]
OneResult = tuple[Tensor, int]
Results = tuple[tuple[Tensor, ...], tuple[int | None, ...]]

_UNIT: Final = PosteriorOptions(None, ScaleForm("std", -math.inf, math.inf, 0.0, 0.0), None, 1)


def _row_shape(value: Tensor, dim: int | None) -> torch.Size:
    return value.shape if dim is None else torch.Size((*value.shape[:dim], *value.shape[dim + 1 :]))


def _rows_at(position: int, value: Tensor, dim: int | None, rows: int) -> Tensor:
    """`value` with its rows along `position`; the same for each row where it is not batched."""
    if dim is not None:
        return value.movedim(dim, position)
    return value.unsqueeze(position).expand(*value.shape[:position], rows, *value.shape[position:])


def _operand(value: Tensor | None, dim: int | None, rows: int, rank: int) -> Tensor | None:
    """``[rows, ...]`` of an operand that, row by row, broadcasts to `rank` dimensions."""
    if value is None:
        return None
    first = _rows_at(0, value, dim, rows)
    return first[(slice(None), *(None,) * (rank + 1 - first.dim()))]


def _operands(values: Sequence[Tensor | None], dims: Dims, rows: int, rank: int) -> list[Tensor | None]:
    return [_operand(value, dim, rows, rank) for value, dim in zip(values, dims, strict=True)]


def _of_operands(
    gradients: Sequence[Tensor], wanted: Sequence[bool], values: Sequence[Tensor | None], dims: Dims
) -> Results:
    """The gradients in the shapes of the operands, before which `_operand` put dimensions of size 1."""
    shaped = [
        gradient.reshape(len(gradient), *_row_shape(value, dim)) if want and value is not None else gradient
        for gradient, want, value, dim in zip(gradients, wanted, values, dims, strict=True)
    ]
    return tuple(shaped), tuple(0 if want else None for want in wanted)


def _folded(reduction: str, batch_dims: int, shape: torch.Size) -> tuple[str, int, float]:
    """The reduction and batch_dims of the call over all rows, and what its results are multiplied by."""
    if reduction in ("none", "sample"):
        return reduction, batch_dims + 1, 1.0
    return "sample", 1, reduction_scale(reduction, shape.numel(), shape[:batch_dims].numel())


def _times(loss: Tensor, factor: float) -> Tensor:
    return loss if factor == 1.0 else loss * factor


def _upstream(gradient: Tensor | None, dim: int | None, rows: int, factor: float) -> Tensor | None:
    return None if gradient is None else _times(_rows_at(0, gradient, dim, rows), factor)


def _draw(seed: Tensor, shape: torch.Size, num_samples: int | None) -> Tensor:
    """The eps of one row, which is 0 + 1 * eps."""
    zero, one = torch.zeros((), device=seed.device), torch.ones((), device=seed.device)
    eps: Tensor = torch.ops.fastvae.reparameterize_kl(
        zero.expand(shape), one.expand(shape), None, None, None, seed, *flat(_UNIT._replace(num_samples=num_samples))
    )[0]
    return eps


def _samples_at(num_samples: int | None) -> int:
    """The dimension of a sample that its rows become: the one behind the K samples of a posterior."""
    return 0 if num_samples is None else 1


def _eps(
    eps: Tensor | None, seed: Tensor | None, dims: Dims, rows: int, shape: torch.Size, num_samples: int | None
) -> Tensor | None:
    """The noise of all rows, written out."""
    of_eps, of_seed = dims
    at = _samples_at(num_samples)
    if eps is not None:
        return _rows_at(at, eps, of_eps, rows)
    if seed is None:
        return None
    if of_seed is None:
        return _rows_at(at, _draw(seed, shape, num_samples), None, rows)
    return torch.stack([_draw(each, shape, num_samples) for each in seed.unbind(of_seed)], at)


def _posterior(options: PosteriorOptions, shape: torch.Size) -> tuple[PosteriorOptions, float]:
    """The options of the call over all rows, and the factor of its KL."""
    if options.reduction is None:
        return options, 1.0
    reduction, batch_dims, factor = _folded(options.reduction, options.batch_dims, shape)
    return options._replace(reduction=reduction, batch_dims=batch_dims), factor


def _sample_and_kl(outputs: Sequence[Tensor], eps: Tensor | None, options: PosteriorOptions, factor: float) -> Results:
    z, kl = outputs
    of_z = None if eps is None else _samples_at(options.num_samples)
    return (z, _times(kl, factor)), (of_z, None if options.reduction is None else 0)


def _grad_z(gradient: Tensor | None, dim: int | None, rows: int, options: PosteriorOptions) -> Tensor | None:
    return None if gradient is None else _rows_at(_samples_at(options.num_samples), gradient, dim, rows)


def reparameterize_kl(
    op: Many, rows: int, dims: Dims, mu: Tensor, scale: Tensor, prior_mu: Tensor | None, prior_scale: Tensor | None,
    eps: Tensor | None, seed: Tensor | None, options: PosteriorOptions,
) -> Results:  # fmt: skip
    shape = _row_shape(mu, dims[0])
    operands = _operands((mu, scale, prior_mu, prior_scale), dims[:4], rows, len(shape))
    eps = _eps(eps, seed, dims[4:6], rows, shape, options.num_samples)
    options, factor = _posterior(options, shape)
    return _sample_and_kl(op(*operands, eps, None, options), eps, options, factor)


def reparameterize_kl_backward(
    op: Many, rows: int, dims: Dims, grad_z: Tensor | None, grad_kl: Tensor | None, mu: Tensor, scale: Tensor,
    prior_mu: Tensor | None, prior_scale: Tensor | None, eps: Tensor | None, seed: Tensor | None,
    options: PosteriorOptions, wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_z, of_kl, *of_operands = dims[:6]
    shape = _row_shape(mu, of_operands[0])
    values = (mu, scale, prior_mu, prior_scale)
    operands = _operands(values, of_operands, rows, len(shape))
    eps = _eps(eps, seed, dims[6:8], rows, shape, options.num_samples)
    options, factor = _posterior(options, shape)
    upstream = _grad_z(grad_z, of_z, rows, options), _upstream(grad_kl, of_kl, rows, factor)
    return _of_operands(op(*upstream, *operands, eps, None, options, wanted), wanted, values, of_operands)


def reparameterize_kl_packed(
    op: Many, rows: int, dims: Dims, moments: Tensor, prior_mu: Tensor | None, prior_scale: Tensor | None,
    eps: Tensor | None, seed: Tensor | None, packing: Packing, options: PosteriorOptions,
) -> Results:  # fmt: skip
    moments, packing = _rows_at(0, moments, dims[0], rows), packing._replace(dim=packing.dim + 1)
    shape = unpacked_shape(moments, packing.dim)[1:]
    prior = _operands((prior_mu, prior_scale), dims[1:3], rows, len(shape))
    eps = _eps(eps, seed, dims[3:5], rows, shape, options.num_samples)
    options, factor = _posterior(options, shape)
    return _sample_and_kl(op(moments, *prior, eps, None, packing, options), eps, options, factor)


def reparameterize_kl_packed_backward(
    op: Many, rows: int, dims: Dims, grad_z: Tensor | None, grad_kl: Tensor | None, moments: Tensor,
    prior_mu: Tensor | None, prior_scale: Tensor | None, eps: Tensor | None, seed: Tensor | None, packing: Packing,
    options: PosteriorOptions, wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_z, of_kl, *of_operands = dims[:5]
    values = (moments, prior_mu, prior_scale)
    moments, packing = _rows_at(0, moments, of_operands[0], rows), packing._replace(dim=packing.dim + 1)
    shape = unpacked_shape(moments, packing.dim)[1:]
    prior = _operands((prior_mu, prior_scale), of_operands[1:], rows, len(shape))
    eps = _eps(eps, seed, dims[5:7], rows, shape, options.num_samples)
    options, factor = _posterior(options, shape)
    upstream = _grad_z(grad_z, of_z, rows, options), _upstream(grad_kl, of_kl, rows, factor)
    gradients = op(*upstream, moments, *prior, eps, None, packing, options, wanted)
    return _of_operands(gradients, wanted, values, of_operands)


def reconstruction(
    op: Many, rows: int, dims: Dims, input: Tensor, target: Tensor, weight: Tensor | None, log_scale: Tensor | None,
    options: ReconstructionOptions, per_sample: bool, grad: Sequence[bool],
) -> Results:  # fmt: skip
    assert not any(grad)  # nobody writes a gradient early inside a transform
    shape = _row_shape(input, dims[0])
    operands = _operands((input, target, weight, log_scale), dims[:4], rows, len(shape))
    reduction, batch_dims, factor = _folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    loss, samples, *absent = op(*operands, over_all, False, grad)
    beside = per_sample and options.reduction != "sample"
    if beside:
        of_sample = options._replace(reduction="sample", batch_dims=options.batch_dims + 1)
        samples = op(*operands, of_sample, False, grad)[0]
    return (_times(loss, factor), samples, *absent), (0, 0 if beside else None, None, None)


def reconstruction_backward(
    op: Many, rows: int, dims: Dims, grad_loss: Tensor, input: Tensor, target: Tensor, weight: Tensor | None,
    log_scale: Tensor | None, options: ReconstructionOptions, wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_loss, of_input, of_target, of_weight, of_log_scale = dims[:5]
    shape = _row_shape(input, of_input)
    of_operands = (of_input, of_target, of_weight, of_log_scale)
    operands = _operands((input, target, weight, log_scale), of_operands, rows, len(shape))
    reduction, batch_dims, factor = _folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    gradients = op(_upstream(grad_loss, of_loss, rows, factor), *operands, over_all, wanted)
    return _of_operands(gradients, wanted, (input, target, log_scale), (of_input, of_target, of_log_scale))


def log_normal(
    op: One, rows: int, dims: Dims, z: Tensor, mu: Tensor | None, scale: Tensor | None, options: DensityOptions
) -> OneResult:
    shape = _row_shape(z, dims[0])
    operands = _operands((z, mu, scale), dims[:3], rows, len(shape))
    reduction, batch_dims, factor = _folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    return _times(op(*operands, over_all), factor), 0


def log_normal_backward(
    op: Many, rows: int, dims: Dims, grad_log_prob: Tensor, z: Tensor, mu: Tensor | None, scale: Tensor | None,
    options: DensityOptions, wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_log_prob, *of_operands = dims[:4]
    shape = _row_shape(z, of_operands[0])
    operands = _operands((z, mu, scale), of_operands, rows, len(shape))
    reduction, batch_dims, factor = _folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    gradients = op(_upstream(grad_log_prob, of_log_prob, rows, factor), *operands, over_all, wanted)
    return _of_operands(gradients, wanted, (z, mu, scale), of_operands)


def row_by_row(op: Callable[..., Sequence[Tensor]], rows: int, dims: Dims, *arguments: object) -> Results:
    """One call a row: each is a sum over pairs that rows do not share."""
    each = [
        op(*(_at(argument, dim, row) for argument, dim in zip(arguments, _of_arguments(dims, arguments), strict=True)))
        for row in range(rows)
    ]
    return tuple(map(torch.stack, zip(*each, strict=True))), (0,) * len(each[0])


def _of_arguments(dims: Dims, arguments: Sequence[object]) -> list[int | None]:
    """The batched dimension of each argument, where an options tuple, which has none, is one argument."""
    tensors = sum(argument is None or isinstance(argument, Tensor) for argument in arguments)
    return [*dims[:tensors], *(None,) * (len(arguments) - tensors)]


def _at(argument: object, dim: int | None, row: int) -> object:
    return argument if dim is None or not isinstance(argument, Tensor) else argument.select(dim, row)


def negative_binomial_nll(
    op: Many, rows: int, dims: Dims, mean: Tensor, target: Tensor, inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None, weight: Tensor | None, options: NegativeBinomialOptions, per_sample: bool,
    grad: Sequence[bool],
) -> Results:  # fmt: skip
    assert not any(grad)  # nobody writes a gradient early inside a transform
    shape = _row_shape(mean, dims[0])
    values = (mean, target, inverse_dispersion, zero_inflation_logits, weight)
    operands = _operands(values, dims[:5], rows, len(shape))
    reduction, batch_dims, factor = _folded(options.reduction, options.batch_dims, shape)
    loss, samples, *absent = op(*operands, options._replace(reduction=reduction, batch_dims=batch_dims), False, grad)
    beside = per_sample and options.reduction != "sample"
    if beside:
        of_sample = options._replace(reduction="sample", batch_dims=options.batch_dims + 1)
        samples = op(*operands, of_sample, False, grad)[0]
    return (_times(loss, factor), samples, *absent), (0, 0 if beside else None, None, None, None)


def negative_binomial_nll_backward(
    op: Many, rows: int, dims: Dims, grad_loss: Tensor, mean: Tensor, target: Tensor, inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None, weight: Tensor | None, options: NegativeBinomialOptions,
    wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_loss, *of_operands = dims[:6]
    shape = _row_shape(mean, of_operands[0])
    values = (mean, target, inverse_dispersion, zero_inflation_logits, weight)
    operands = _operands(values, of_operands, rows, len(shape))
    reduction, batch_dims, factor = _folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    gradients = op(_upstream(grad_loss, of_loss, rows, factor), *operands, over_all, wanted)
    differentiable = (mean, inverse_dispersion, zero_inflation_logits)
    return _of_operands(gradients, wanted, differentiable, (of_operands[0], *of_operands[2:4]))


def _one_batch(values: Sequence[Tensor], dims: Dims, rows: int) -> list[Tensor]:
    """All rows of each tensor as one batch."""
    return [_rows_at(0, value, dim, rows).flatten(0, 1) for value, dim in zip(values, dims, strict=True)]


def discretized_logistic_mixture_nll(
    op: Many, rows: int, dims: Dims, params: Tensor, target: Tensor, options: DiscretizedMixtureOptions,
    per_sample: bool, grad: bool,
) -> Results:  # fmt: skip
    assert not grad  # nobody writes a gradient early inside a transform
    shape = _row_shape(params, dims[0])
    operands = _one_batch((params, target), dims[:2], rows)
    reduction = options.reduction
    kept = reduction if reduction == "none" else "sample"
    loss, _, absent = op(*operands, options._replace(reduction=kept), False, False)
    loss = loss.unflatten(0, (rows, shape[0]))
    beside = per_sample and reduction != "sample"
    samples = loss.flatten(2).sum(2) if beside and reduction == "none" else loss
    if reduction not in ("none", "sample"):
        factor = reduction_scale(reduction, shape.numel() // shape[options.dim], shape[0])
        loss = _times(loss.sum(1, dtype=torch.float64), factor).to(loss.dtype)
    return (loss, samples if beside else absent, absent), (0, 0 if beside else None, None)


def discretized_logistic_mixture_nll_backward(
    op: One, rows: int, dims: Dims, grad_loss: Tensor, params: Tensor, target: Tensor,
    options: DiscretizedMixtureOptions,
) -> OneResult:  # fmt: skip
    shape = _row_shape(params, dims[1])
    operands = _one_batch((params, target), dims[1:3], rows)
    upstream = _rows_at(0, grad_loss, dims[0], rows)
    kept = options.reduction if options.reduction == "none" else "sample"
    if options.reduction not in ("none", "sample"):
        factor = reduction_scale(options.reduction, shape.numel() // shape[options.dim], shape[0])
        upstream = _times(upstream, factor)[:, None].expand(rows, shape[0])
    gradient = op(upstream.flatten(0, 1), *operands, options._replace(reduction=kept))
    return gradient.unflatten(0, (rows, shape[0])), 0


def importance_weighted_bound(op: One, rows: int, dims: Dims, log_w: Tensor, dim: int) -> OneResult:
    return op(_rows_at(0, log_w, dims[0], rows), dim + 1), 0


def importance_weighted_bound_backward(
    op: One, rows: int, dims: Dims, grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int
) -> OneResult:
    tensors = zip((grad_bound, log_w, bound), dims, strict=False)
    return op(*[_rows_at(0, tensor, of, rows) for tensor, of in tensors], dim + 1), 0
