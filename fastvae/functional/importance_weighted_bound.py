"""The importance-weighted bound of Burda, Grosse & Salakhutdinov 2016."""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks
from fastvae._autograd.importance_weighted_bound import ImportanceWeightedBound
from fastvae.functional._dispatch import use_reference


def importance_weighted_bound(log_w: Tensor, *, dim: int = 0) -> Tensor:
    """log (1/K) sum_k exp(log_w_k), the K-sample lower bound on log p(x) (Burda et al. 2016, equation 8).

    Equivalent to ``torch.logsumexp(log_w, dim) - math.log(log_w.shape[dim])``.

    Args:
        log_w: log importance weights in nats, log p(x, z_k) - log q(z_k | x): ``[K, batch]``, or of any shape.
        dim: the dimension of the K samples.

    Returns:
        `log_w`'s shape without `dim`, in nats; the gradient is the normalized importance weight.

    Raises:
        TypeError, ValueError: `log_w` is no floating-point tensor, or `dim` none of its dimensions, or has no sample.

    Examples:
        >>> log_w = torch.tensor([[-90.0, -80.0], [-91.0, -80.0], [-95.0, -80.0]])  # K = 3 samples of 2 x
        >>> F.importance_weighted_bound(log_w)  # to be maximized
        tensor([-90.7804, -80.0000])
        >>> torch.logsumexp(log_w, 0) - torch.tensor(3.0).log()
        tensor([-90.7804, -80.0000])
    """
    _checks.tensor("log_w", log_w)
    _checks.dim("dim", dim, "log_w", log_w)
    if use_reference("log_w", log_w):
        from fastvae import reference

        return reference.importance_weighted_bound(log_w, dim=dim)
    return ImportanceWeightedBound.apply(log_w, dim % log_w.dim())
