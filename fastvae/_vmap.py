"""The rules of the ops for `torch.func.vmap`: one call for all rows, which become a further, leading dimension.

What each row reduces to a scalar is the sum of a sample then, times the reduction's factor. Noise is written out before
the call: a seed belongs to one row, so that one for all of them gives every row the same eps.

A rule takes the op, the number of rows, the batched dimension of each argument (None where it has none) and the
arguments; it returns the outputs and their batched dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from fastvae._layout import unpacked_shape
from fastvae._options import Posterior, ScaleForm, reduction_scale

Op = Callable[..., Any]
Dims = Sequence[Any]
Result = tuple[Any, Any]

_SIGMA: Final = ScaleForm("std", -math.inf, math.inf, 0.0, 0.0)


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


def _of_operands(gradients: Sequence[Tensor], wanted: Sequence[bool], values: Sequence[Any], dims: Dims) -> Result:
    """The gradients in the shapes of the operands, before which `_operand` put dimensions of size 1."""
    shaped = [
        gradient.reshape(len(gradient), *_row_shape(value, dim)) if want else gradient
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
    posterior = Posterior(None, None, None, seed, num_samples, *_SIGMA, None, 1)
    eps: Tensor = torch.ops.fastvae.reparameterize_kl(zero.expand(shape), one.expand(shape), *posterior)[0]
    return eps


def _samples_at(num_samples: int | None) -> int:
    """Where the rows of a sample lie: behind the K samples of a posterior."""
    return 0 if num_samples is None else 1


def _eps(
    posterior: Posterior, eps_dim: int | None, seed_dim: int | None, rows: int, shape: torch.Size
) -> Tensor | None:
    at = _samples_at(posterior.num_samples)
    if posterior.eps is not None:
        return _rows_at(at, posterior.eps, eps_dim, rows)
    if posterior.seed is None:
        return None
    if seed_dim is None:
        return _rows_at(at, _draw(posterior.seed, shape, posterior.num_samples), None, rows)
    return torch.stack([_draw(seed, shape, posterior.num_samples) for seed in posterior.seed.unbind(seed_dim)], at)


def _posterior(posterior: Posterior, dims: Dims, rows: int, shape: torch.Size) -> tuple[Posterior, float]:
    """The options of the call over all rows, and the factor of its KL."""
    prior_mu, prior_scale = _operands(posterior[:2], dims[:2], rows, len(shape))
    folded = posterior._replace(
        prior_mu=prior_mu, prior_scale=prior_scale, eps=_eps(posterior, dims[2], dims[3], rows, shape), seed=None
    )
    if posterior.reduction is None:
        return folded, 1.0
    reduction, batch_dims, factor = _folded(posterior.reduction, posterior.batch_dims, shape)
    return folded._replace(reduction=reduction, batch_dims=batch_dims), factor


def _sample_and_kl(outputs: tuple[Tensor, Tensor], posterior: Posterior, factor: float) -> Result:
    z, kl = outputs
    of_kl = None if posterior.reduction is None else 0
    return (z, _times(kl, factor)), (_samples_at(posterior.num_samples) if posterior.noisy else None, of_kl)


def reparameterize_kl(op: Op, rows: int, dims: Dims, mu: Tensor, scale: Tensor, *rest: Any) -> Result:
    shape = _row_shape(mu, dims[0])
    posterior, factor = _posterior(Posterior(*rest), dims[2:], rows, shape)
    outputs = op(*_operands((mu, scale), dims[:2], rows, len(shape)), *posterior)
    return _sample_and_kl(outputs, posterior, factor)


def reparameterize_kl_backward(op: Op, rows: int, dims: Dims, *args: Any) -> Result:
    grad_z, grad_kl, mu, scale, *rest, wanted = args
    shape = _row_shape(mu, dims[2])
    posterior, factor = _posterior(Posterior(*rest), dims[4:-1], rows, shape)
    gradients = op(
        None if grad_z is None else _rows_at(_samples_at(posterior.num_samples), grad_z, dims[0], rows),
        _upstream(grad_kl, dims[1], rows, factor),
        *_operands((mu, scale), dims[2:4], rows, len(shape)),
        *posterior,
        wanted,
    )
    return _of_operands(gradients, wanted, args[2:6], dims[2:6])


def reparameterize_kl_packed(
    op: Op, rows: int, dims: Dims, moments: Tensor, dim: int, interleaved: bool, *rest: Any
) -> Result:
    packed = _rows_at(0, moments, dims[0], rows)
    posterior, factor = _posterior(Posterior(*rest), dims[3:], rows, unpacked_shape(packed, dim + 1)[1:])
    return _sample_and_kl(op(packed, dim + 1, interleaved, *posterior), posterior, factor)


def reparameterize_kl_packed_backward(op: Op, rows: int, dims: Dims, *args: Any) -> Result:
    grad_z, grad_kl, moments, dim, interleaved, *rest, wanted = args
    packed = _rows_at(0, moments, dims[2], rows)
    posterior, factor = _posterior(Posterior(*rest), dims[5:-1], rows, unpacked_shape(packed, dim + 1)[1:])
    gradients = op(
        None if grad_z is None else _rows_at(_samples_at(posterior.num_samples), grad_z, dims[0], rows),
        _upstream(grad_kl, dims[1], rows, factor),
        packed,
        dim + 1,
        interleaved,
        *posterior,
        wanted,
    )
    return _of_operands(gradients, wanted, (moments, *rest[:2]), (dims[2], *dims[5:7]))


def reconstruction(
    op: Op, rows: int, dims: Dims, name: str, input: Tensor, target: Tensor, weight: Tensor | None,
    log_scale: Tensor | None, full: bool, reduction: str, batch_dims: int, per_sample: bool, grad: Sequence[bool],
) -> Result:  # fmt: skip
    assert not any(grad)  # nobody writes a gradient early inside a transform
    shape = _row_shape(input, dims[1])
    pair = (*_operands((input, target, weight, log_scale), dims[1:5], rows, len(shape)), full)
    over_all, over_batch, factor = _folded(reduction, batch_dims, shape)
    loss, samples, *absent = op(name, *pair, over_all, over_batch, False, grad)
    beside = per_sample and reduction != "sample"
    if beside:
        samples = op(name, *pair, "sample", batch_dims + 1, False, grad)[0]
    return (_times(loss, factor), samples, *absent), (0, 0 if beside else None, None, None)


def reconstruction_backward(
    op: Op, rows: int, dims: Dims, name: str, grad_loss: Tensor, input: Tensor, target: Tensor, weight: Tensor | None,
    log_scale: Tensor | None, full: bool, reduction: str, batch_dims: int, wanted: Sequence[bool],
) -> Result:  # fmt: skip
    shape = _row_shape(input, dims[2])
    pair = (*_operands((input, target, weight, log_scale), dims[2:6], rows, len(shape)), full)
    over_all, over_batch, factor = _folded(reduction, batch_dims, shape)
    gradients = op(name, _upstream(grad_loss, dims[1], rows, factor), *pair, over_all, over_batch, wanted)
    return _of_operands(gradients, wanted, (input, target, log_scale), (dims[2], dims[3], dims[5]))


def log_normal(op: Op, rows: int, dims: Dims, *args: Any) -> Result:
    *form, reduction, batch_dims = args[3:]
    shape = _row_shape(args[0], dims[0])
    reduction, batch_dims, factor = _folded(reduction, batch_dims, shape)
    return _times(op(*_operands(args[:3], dims[:3], rows, len(shape)), *form, reduction, batch_dims), factor), 0


def log_normal_backward(op: Op, rows: int, dims: Dims, grad_log_prob: Tensor, *args: Any) -> Result:
    *form, reduction, batch_dims, wanted = args[3:]
    shape = _row_shape(args[0], dims[1])
    reduction, batch_dims, factor = _folded(reduction, batch_dims, shape)
    operands = _operands(args[:3], dims[1:4], rows, len(shape))
    upstream = _upstream(grad_log_prob, dims[0], rows, factor)
    gradients = op(upstream, *operands, *form, reduction, batch_dims, wanted)
    return _of_operands(gradients, wanted, args[:3], dims[1:4])


def importance_weighted_bound(op: Op, rows: int, dims: Dims, log_w: Tensor, dim: int) -> Result:
    return op(_rows_at(0, log_w, dims[0], rows), dim + 1), 0


def importance_weighted_bound_backward(op: Op, rows: int, dims: Dims, *args: Any) -> Result:
    *tensors, dim = args
    return op(*[_rows_at(0, tensor, of, rows) for tensor, of in zip(tensors, dims, strict=False)], dim + 1), 0
