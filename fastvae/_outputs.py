"""The outputs of every op: shapes, dtypes and layouts, allocated in one place.

The fake implementations return these as they are; the C++ and Triton ones fill them in. An output nobody asked
for is None.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastvae._layout import sample_shape
from fastvae._options import DiscretizedMixtureOptions, NegativeBinomialOptions, PosteriorOptions, ReconstructionOptions


def compute_dtype(like: Tensor) -> torch.dtype:
    """The dtype of arithmetic and losses: float64 for float64, float32 for everything else."""
    return torch.float64 if like.dtype == torch.float64 else torch.float32


def loss(like: Tensor, reduction: str, batch_dims: int) -> Tensor:
    """An unreduced, per-sample or scalar loss over a tensor shaped as `like`."""
    dtype = compute_dtype(like)
    if reduction == "none":
        return torch.empty_like(like, dtype=dtype)
    return torch.empty(like.shape[:batch_dims] if reduction == "sample" else (), dtype=dtype, device=like.device)


def gradients(wanted: Sequence[bool], *operands: Tensor | None) -> tuple[Tensor | None, ...]:
    """One gradient an operand, in its shape, dtype and dense layout; None where it is not wanted."""
    pairs = zip(wanted, operands, strict=True)
    return tuple([torch.empty_like(operand) if want and operand is not None else None for want, operand in pairs])


def sample(mu: Tensor, num_samples: int | None) -> Tensor:
    return torch.empty_like(mu) if num_samples is None else mu.new_empty(sample_shape(mu.shape, num_samples))


def reparameterize_kl(
    mu: Tensor, eps: Tensor | None, seed: Tensor | None, options: PosteriorOptions
) -> tuple[Tensor | None, Tensor | None]:
    z = None if eps is None and seed is None else sample(mu, options.num_samples)
    kl = None if options.reduction is None else loss(mu, options.reduction, options.batch_dims)
    return z, kl


def reconstruction(
    input: Tensor, log_scale: Tensor | None, options: ReconstructionOptions, per_sample: bool, grad: Sequence[bool]
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    beside = per_sample and options.reduction != "sample"
    to_input, to_log_scale = gradients(grad, input, log_scale)
    return (
        loss(input, options.reduction, options.batch_dims),
        loss(input, "sample", options.batch_dims) if beside else None,
        to_input,
        to_log_scale,
    )


def minibatch_log_densities(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    batch, dims = z.shape
    dtype = compute_dtype(z)
    log_qz, log_qz_product = z.new_empty(batch, dtype=dtype), z.new_empty(batch, dtype=dtype)
    return log_qz, log_qz_product, z.new_empty((batch, dims + 2), dtype=dtype)


def log_normal_mixture(z: Tensor) -> tuple[Tensor, Tensor]:
    dtype = compute_dtype(z)
    return z.new_empty(len(z), dtype=dtype), z.new_empty((len(z), 2), dtype=dtype)


def negative_binomial_nll(
    mean: Tensor, inverse_dispersion: Tensor, zero_inflation_logits: Tensor | None,
    options: NegativeBinomialOptions, per_sample: bool, grad: Sequence[bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
    beside = per_sample and options.reduction != "sample"
    to_mean, to_dispersion, to_logits = gradients(grad, mean, inverse_dispersion, zero_inflation_logits)
    return (
        loss(mean, options.reduction, options.batch_dims),
        loss(mean, "sample", options.batch_dims) if beside else None,
        to_mean,
        to_dispersion,
        to_logits,
    )


def discretized_logistic_mixture_nll(
    params: Tensor, options: DiscretizedMixtureOptions, per_sample: bool, grad: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    dim, reduction = options.dim, options.reduction
    pixels = (*params.shape[:dim], *params.shape[dim + 1 :])
    of_pixels = params.new_empty(pixels, dtype=compute_dtype(params)) if reduction == "none" else None
    return (
        loss(params, reduction, 1) if of_pixels is None else of_pixels,
        loss(params, "sample", 1) if per_sample and reduction != "sample" else None,
        torch.empty_like(params) if grad else None,
    )


def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    return log_w.new_empty((*log_w.shape[:dim], *log_w.shape[dim + 1 :]), dtype=compute_dtype(log_w))
