"""The two terms of the ELBO, reduced and weighted: what `vae_loss` and `fastvae.ELBOLoss` share."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from fastvae import _backend, _checks
from fastvae._autograd import reconstruction as fused
from fastvae._likelihoods import LOSSES, Likelihood
from fastvae._options import ReconstructionOptions
from fastvae._outputs import compute_dtype
from fastvae.functional import reconstruction
from fastvae.presets import Convention


def with_samples(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    reduction: str,
    batch_dims: int,
    full: bool = False,
) -> tuple[Tensor, Tensor]:
    """The reconstruction loss `name`, and its per-sample sums without gradient.

    The kernel writes the gradient in the forward pass, for an upstream gradient of 1. Any other one costs a pass over
    it in backward, so that callers add to the loss but do not scale it.
    """
    scale = () if log_scale is None else (log_scale,)
    normalized = {"full": True} if full else {}
    loss_of: Callable[..., Tensor] = partial(
        getattr(reconstruction, name), input, target, *scale, weight=weight, batch_dims=batch_dims, **normalized
    )
    if reduction == "sample":
        loss = loss_of(reduction="sample")
        return loss, loss.detach()
    if _backend.in_plain_torch():
        return loss_of(reduction=reduction), loss_of(reduction="sample").detach()
    if log_scale is not None:
        _checks.log_scale(log_scale, input)
    _checks.reconstruction(input, target, weight, reduction, batch_dims)
    options = ReconstructionOptions(name, full, reduction, batch_dims)
    loss, of_samples = fused.reconstruction_with_samples(input, target, weight, log_scale, options)
    assert of_samples is not None
    return loss, of_samples


def _over(factor: float, count: int) -> float:
    """factor / count; an average over nothing is nan."""
    return factor / count if count else math.nan


def _scaled_weight(weight: Tensor | None, factor: float, like: Tensor) -> Tensor | None:
    """weight * factor: in the weight a constant factor is free, on the loss it would scale it (see `with_samples`)."""
    if factor == 1.0:
        return weight
    if weight is None:
        return like.new_full((), factor, dtype=compute_dtype(like))
    return weight.to(compute_dtype(like)) * factor


def reconstruction_term(
    likelihood: Likelihood,
    prediction: Tensor,
    target: Tensor,
    *,
    factor: float = 1.0,
    weight: Tensor | None = None,
    log_scale: Tensor | None = None,
    reduction: str = "batchmean",
    per_sample: bool = False,
    batch_dims: int = 1,
) -> tuple[Tensor, Tensor]:
    """The reconstruction term and its per-sample values without gradient.

    Args:
        factor: multiplies the loss, besides the likelihood's own factor.
        reduction: see `fastvae.presets.Convention.reconstruction`. Dimensions before the batch are averaged over.
        per_sample: one value a sample instead, each divided by what `reduction` averages over within a sample.
    """
    factor *= likelihood.factor
    features = prediction.shape[batch_dims:]
    if reduction == "channelmean":
        factor = _over(factor, features[0] if len(features) > 1 else 1)
        reduction = "batchmean"
    elif reduction == "sum" and not per_sample:
        factor /= math.prod(prediction.shape[: batch_dims - 1])
    elif reduction == "mean" and per_sample:
        factor = _over(factor, features.numel())
    final = "sample" if per_sample else reduction
    fused_scale = log_scale if LOSSES[likelihood.loss].scaled else None
    scaled = _scaled_weight(weight, factor, prediction)
    loss, samples = with_samples(
        likelihood.loss, prediction, target, scaled, fused_scale, final, batch_dims, likelihood.full
    )
    if math.isnan(factor):
        # There is no element whose weight it would be.
        loss, samples = loss * factor, samples * factor
    if final == "mean":
        samples = samples / features.numel()
    if likelihood.learned_scale and fused_scale is None:
        assert log_scale is not None
        loss, samples = _learned_laplace(loss, samples, log_scale, prediction, scaled, final, batch_dims)
    return loss, samples


def _learned_laplace(
    loss: Tensor,
    samples: Tensor,
    log_scale: Tensor,
    prediction: Tensor,
    weight: Tensor | None,
    reduction: str,
    batch_dims: int,
) -> tuple[Tensor, Tensor]:
    """weight * (abs(error) * exp(-s) + s), reduced; `loss` is the sum of weight * abs(error).

    exp(-s) scales the loss, which costs a pass over the gradient in backward.
    """
    lead, features = prediction.shape[:batch_dims], prediction.shape[batch_dims:]
    if weight is None:
        count = prediction.new_full(lead, float(features.numel()), dtype=loss.dtype)
    else:
        count = weight.to(loss.dtype).expand(prediction.shape).flatten(batch_dims).sum(-1).reshape(lead)
    if reduction == "mean":
        count = count / features.numel()
    total = {"sample": count, "sum": count.sum()}.get(reduction, count.mean())
    log_scale = log_scale.reshape(())
    shrink = torch.exp(-log_scale)
    return loss * shrink + log_scale * total, (samples * shrink + log_scale * count).detach()


def times(term: Tensor, factor: float | Tensor) -> Tensor:
    """term * factor in the dtype of `term`; a tensor factor stays on its device."""
    if isinstance(factor, Tensor):
        return term * factor.to(term.dtype)
    return term if factor == 1.0 else term * factor


def _distance(kl: Tensor, capacity: float | Tensor) -> Tensor:
    """abs(kl - capacity) in the dtype of `kl`."""
    return (kl - (capacity.to(kl.dtype) if isinstance(capacity, Tensor) else capacity)).abs()


def kl_term(
    convention: Convention,
    kl: Tensor,
    latent_shape: torch.Size,
    *,
    beta: float | Tensor,
    capacity: float | Tensor | None = None,
    per_sample: bool = False,
) -> Tensor:
    """The KL as `convention` reduces, bounds and weights it.

    Args:
        kl: per sample, ``[..., batch]``, or ``[..., batch, *latent_shape]`` where free bits are per dimension.
        latent_shape: the shape of one sample's latent.
    """
    if convention.free_bits:
        kl = _free_bits(convention, kl, latent_shape)
    if capacity is not None and convention.capacity_per == "sample":
        kl = _distance(kl, capacity)
    weight = convention.kl_weight
    if convention.kl == "mean":
        weight = _over(weight, latent_shape.numel())
    elif convention.kl == "positionmean":
        weight = _over(weight, latent_shape[1:].numel())
    if not per_sample and kl.dim():
        kl = kl.sum(-1).mean() if convention.kl == "sum" else kl.mean()
    if capacity is not None and convention.capacity_per == "batch":
        kl = _distance(kl, capacity)
    return times(times(kl, weight), beta)


def _free_bits(convention: Convention, kl: Tensor, latent_shape: torch.Size) -> Tensor:
    """Bounds the KL from below; no gradient where the bound is active."""
    if convention.free_bits_per == "sample":
        return kl.clamp(min=convention.free_bits)
    if convention.free_bits_per == "latent_size":
        return kl.clamp(min=convention.free_bits * latent_shape.numel())
    elements = kl.flatten(kl.dim() - len(latent_shape)) if latent_shape else kl.unsqueeze(-1)
    if convention.free_bits_per == "batch_dimension":
        return elements.flatten(0, -2).mean(0).clamp(min=convention.free_bits).sum()
    return elements.clamp(min=convention.free_bits).sum(-1)
