"""Log-density of a mixture of diagonal Gaussians: log sum_k w_k N(z; mu_k, sigma_k^2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastvae.reference import _common
from fastvae.reference.log_normal import log_normal


def log_normal_mixture(
    z: Tensor,
    mu: Tensor,
    scale: Tensor,
    log_weights: Tensor | None = None,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    reduction: str = "sample",
    batch_dims: int = 1,
) -> Tensor:
    components = len(mu)
    each = z.unsqueeze(batch_dims)
    log_q = log_normal(
        each.expand(*z.shape[:batch_dims], components, *z.shape[batch_dims:]), mu, scale,
        reduction="sample", batch_dims=batch_dims + 1,
        parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
    )  # fmt: skip
    if log_weights is None:
        log_q = log_q - math.log(components)
    else:
        log_q = log_q + torch.log_softmax(_common.upcast(log_weights, z), 0)
    log_prob = torch.logsumexp(log_q, -1)
    if reduction == "sample":
        return log_prob
    if reduction == "sum":
        return log_prob.sum()
    if reduction == "mean":
        # Of no dimensions every density is 1, whose logarithm may be off by a rounding: their average is over nothing.
        return log_prob.sum() / z.numel() if z.numel() else log_prob.sum() * math.nan
    if reduction == "batchmean":
        return log_prob.mean()
    raise ValueError(f"reduction: got {reduction!r}; takes sample, sum, mean or batchmean")
