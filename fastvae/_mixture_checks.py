"""Argument checks of mixtures of Gaussians: of the posteriors of a batch, and of the components of a prior."""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks
from fastvae._options import REDUCTIONS, WEIGHTINGS


def _parameters(mu: Tensor, scale: Tensor, z: Tensor) -> None:
    _checks.tensor("mu", mu)
    _checks.tensor("scale", scale)
    _checks.same_shape("scale", scale, "mu", mu)
    _checks.same_device("mu", mu, "z", z)
    _checks.same_device("scale", scale, "z", z)


def minibatch(z: Tensor, mu: Tensor, scale: Tensor, dataset_size: int, weighting: str) -> None:
    _checks.tensor("z", z)
    _parameters(mu, scale, z)
    _checks.same_shape("mu", mu, "z", z)
    if not _checks.whole(dataset_size) or not 1 <= dataset_size < 2**63:
        raise ValueError(f"dataset_size: got {dataset_size!r}; takes an int of at least 1, below 2**63")
    if not isinstance(weighting, str) or weighting not in WEIGHTINGS:
        raise ValueError(f"weighting: got {weighting!r}; takes one of {WEIGHTINGS}")
    if weighting == "mss" and not 2 <= len(z) <= dataset_size:
        raise ValueError(f"z: got a batch of {len(z)} with weighting='mss'; takes 2 to dataset_size, {dataset_size}")


def mixture(z: Tensor, mu: Tensor, scale: Tensor, log_weights: Tensor | None, reduction: str, batch_dims: int) -> None:
    _checks.tensor("z", z)
    _parameters(mu, scale, z)
    if not isinstance(reduction, str) or reduction not in REDUCTIONS[1:]:
        raise ValueError(f"reduction: got {reduction!r}; takes one of {REDUCTIONS[1:]}")
    _checks.batch_dims(batch_dims, z)
    if len(mu) == 0 or mu.shape[1:] != z.shape[batch_dims:]:
        raise ValueError(
            f"mu: got shape {list(mu.shape)}; takes [K, ...], K at least 1, with the dimensions of a sample of z, "
            f"{list(z.shape[batch_dims:])}"
        )
    if log_weights is None:
        return
    _checks.tensor("log_weights", log_weights)
    _checks.same_device("log_weights", log_weights, "z", z)
    if log_weights.shape != mu.shape[:1]:
        raise ValueError(f"log_weights: got shape {list(log_weights.shape)}; takes [K], {list(mu.shape[:1])}")
