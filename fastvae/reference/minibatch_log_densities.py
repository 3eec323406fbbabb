"""log q(z) and sum_d log q(z_d) of the aggregate posterior, estimated from a minibatch (Chen et al. 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastvae.reference.log_normal import log_normal


def minibatch_log_densities(
    z: Tensor,
    mu: Tensor,
    scale: Tensor,
    *,
    dataset_size: int,
    weighting: str = "mws",
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
) -> tuple[Tensor, Tensor]:
    batch = len(z)
    z, mu, scale = (value.reshape(batch, value[0].numel() if batch else 0) for value in (z, mu, scale))
    log_q = log_normal(
        z[:, None].expand(batch, *z.shape), mu, scale, reduction="none",
        parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
    )  # fmt: skip
    log_weights = _log_weights(batch, dataset_size, weighting).to(log_q)
    log_qz = torch.logsumexp(log_q.sum(-1) + log_weights, 1)
    log_marginals = torch.logsumexp(log_q + log_weights[:, :, None], 1)
    return log_qz, log_marginals.sum(-1)


def _log_weights(batch: int, dataset_size: int, weighting: str) -> Tensor:
    """``[batch, batch]``: what the posterior of row j counts for in the density at the sample of row i."""
    if weighting == "mws":
        return torch.full((batch, batch), -math.log(dataset_size * max(batch, 1)), dtype=torch.float64)
    if weighting != "mss":
        raise ValueError(f"weighting: got {weighting!r}; takes mws or mss")
    others = batch - 1
    weights = torch.full((batch, batch), 1 / max(others, 1), dtype=torch.float64)
    row = torch.arange(batch)
    weights[row, (row + 1) % max(batch, 1)] = (dataset_size - others) / (dataset_size * max(others, 1))
    weights[row, row] = 1 / dataset_size
    return weights.log()
