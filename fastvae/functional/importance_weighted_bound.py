"""The importance-weighted bound of Burda, Grosse & Salakhutdinov 2016."""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks
from fastvae._autograd.importance_weighted_bound import ImportanceWeightedBound
from fastvae.functional._dispatch import plain


def importance_weighted_bound(log_w: Tensor, *, dim: int = 0) -> Tensor:
    """log (1/K) sum_k exp(log_w_k), the K-sample lower bound on log p(x) (Burda et al. 2016, equation 8).

    Equivalent to ``torch.logsumexp(log_w, dim) - math.log(log_w.shape[dim])``.

    Args:
        log_w: log importance weights in nats, log p(x, z_k) - log q(z_k | x).
        dim: the dimension of the K samples.

    Returns:
        `log_w`'s shape without `dim`; the gradient is the normalized importance weight.
    """
    _checks.tensor("log_w", log_w)
    _checks.dim("dim", dim, "log_w", log_w)
    if plain("log_w", log_w):
        from fastvae import reference

        return reference.importance_weighted_bound(log_w, dim=dim)
    return ImportanceWeightedBound.apply(log_w, dim % log_w.dim())
