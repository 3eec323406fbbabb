"""The rules of the ops that draw a latent and compute its KL: noise is drawn before the call, row by row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from fastvae._layout import unpacked_shape
from fastvae._options import Packing, PosteriorOptions, ScaleForm
from fastvae._schema import flat
from fastvae._vmap import _rows
from fastvae._vmap._rows import Dims, Many, Results

_UNIT: Final = PosteriorOptions(None, ScaleForm("std", -math.inf, math.inf, 0.0, 0.0), None, 1)


def _draw(seed: Tensor, like: Tensor, shape: torch.Size, options: PosteriorOptions) -> Tensor:
    """The eps of one row on the device of `like`, which is 0 + 1 * eps."""
    zero, one = torch.zeros((), device=like.device), torch.ones((), device=like.device)
    unit = _UNIT._replace(num_samples=options.num_samples, shard=options.shard)
    eps: Tensor = torch.ops.fastvae.reparameterize_kl(
        zero.expand(shape), one.expand(shape), None, None, None, seed, *flat(unit)
    )[0]
    return eps


def _samples_at(num_samples: int | None) -> int:
    """The dimension of a sample that its rows become: the one behind the K samples of a posterior."""
    return 0 if num_samples is None else 1


def _eps(
    eps: Tensor | None, seed: Tensor | None, like: Tensor, dims: Dims, rows: int, shape: torch.Size,
    options: PosteriorOptions,
) -> Tensor | None:  # fmt: skip
    """The noise of all rows, written out."""
    of_eps, of_seed = dims
    at = _samples_at(options.num_samples)
    if eps is not None:
        return _rows.rows_at(at, eps, of_eps, rows)
    if seed is None:
        return None
    if of_seed is None:
        return _rows.rows_at(at, _draw(seed, like, shape, options), None, rows)
    return torch.stack([_draw(each, like, shape, options) for each in seed.unbind(of_seed)], at)


def _posterior(options: PosteriorOptions, shape: torch.Size) -> tuple[PosteriorOptions, float]:
    """The options of the call over all rows, whose noise is drawn, and the factor of its KL."""
    options = options._replace(shard=None)
    if options.reduction is None:
        return options, 1.0
    reduction, batch_dims, factor = _rows.folded(options.reduction, options.batch_dims, shape)
    return options._replace(reduction=reduction, batch_dims=batch_dims), factor


def _sample_and_kl(outputs: Sequence[Tensor], eps: Tensor | None, options: PosteriorOptions, factor: float) -> Results:
    z, kl = outputs
    of_z = None if eps is None else _samples_at(options.num_samples)
    return (z, _rows.times(kl, factor)), (of_z, None if options.reduction is None else 0)


def _grad_z(gradient: Tensor | None, dim: int | None, rows: int, options: PosteriorOptions) -> Tensor | None:
    return None if gradient is None else _rows.rows_at(_samples_at(options.num_samples), gradient, dim, rows)


def reparameterize_kl(
    op: Many, rows: int, dims: Dims, mu: Tensor, scale: Tensor, prior_mu: Tensor | None, prior_scale: Tensor | None,
    eps: Tensor | None, seed: Tensor | None, options: PosteriorOptions,
) -> Results:  # fmt: skip
    shape = _rows.row_shape(mu, dims[0])
    operands = _rows.operands((mu, scale, prior_mu, prior_scale), dims[:4], rows, len(shape))
    eps = _eps(eps, seed, mu, dims[4:6], rows, shape, options)
    options, factor = _posterior(options, shape)
    return _sample_and_kl(op(*operands, eps, None, options), eps, options, factor)


def reparameterize_kl_backward(
    op: Many, rows: int, dims: Dims, grad_z: Tensor | None, grad_kl: Tensor | None, mu: Tensor, scale: Tensor,
    prior_mu: Tensor | None, prior_scale: Tensor | None, eps: Tensor | None, seed: Tensor | None,
    options: PosteriorOptions, wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_z, of_kl, *of_operands = dims[:6]
    shape = _rows.row_shape(mu, of_operands[0])
    values = (mu, scale, prior_mu, prior_scale)
    operands = _rows.operands(values, of_operands, rows, len(shape))
    eps = _eps(eps, seed, mu, dims[6:8], rows, shape, options)
    options, factor = _posterior(options, shape)
    upstream = _grad_z(grad_z, of_z, rows, options), _rows.upstream(grad_kl, of_kl, rows, factor)
    return _rows.of_operands(op(*upstream, *operands, eps, None, options, wanted), wanted, values, of_operands)


def reparameterize_kl_packed(
    op: Many, rows: int, dims: Dims, moments: Tensor, prior_mu: Tensor | None, prior_scale: Tensor | None,
    eps: Tensor | None, seed: Tensor | None, packing: Packing, options: PosteriorOptions,
) -> Results:  # fmt: skip
    moments, packing = _rows.rows_at(0, moments, dims[0], rows), packing._replace(dim=packing.dim + 1)
    shape = unpacked_shape(moments, packing.dim)[1:]
    prior = _rows.operands((prior_mu, prior_scale), dims[1:3], rows, len(shape))
    eps = _eps(eps, seed, moments, dims[3:5], rows, shape, options)
    options, factor = _posterior(options, shape)
    return _sample_and_kl(op(moments, *prior, eps, None, packing, options), eps, options, factor)


def reparameterize_kl_packed_backward(
    op: Many, rows: int, dims: Dims, grad_z: Tensor | None, grad_kl: Tensor | None, moments: Tensor,
    prior_mu: Tensor | None, prior_scale: Tensor | None, eps: Tensor | None, seed: Tensor | None, packing: Packing,
    options: PosteriorOptions, wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_z, of_kl, *of_operands = dims[:5]
    values = (moments, prior_mu, prior_scale)
    moments, packing = _rows.rows_at(0, moments, of_operands[0], rows), packing._replace(dim=packing.dim + 1)
    shape = unpacked_shape(moments, packing.dim)[1:]
    prior = _rows.operands((prior_mu, prior_scale), of_operands[1:], rows, len(shape))
    eps = _eps(eps, seed, moments, dims[5:7], rows, shape, options)
    options, factor = _posterior(options, shape)
    upstream = _grad_z(grad_z, of_z, rows, options), _rows.upstream(grad_kl, of_kl, rows, factor)
    gradients = op(*upstream, moments, *prior, eps, None, packing, options, wanted)
    return _rows.of_operands(gradients, wanted, values, of_operands)
