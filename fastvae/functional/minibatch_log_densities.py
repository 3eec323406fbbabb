"""Log-densities of the aggregate posterior, estimated from a minibatch, for total correlation."""

from __future__ import annotations

from torch import Tensor

from fastvae import _mixture_checks
from fastvae._autograd.minibatch_log_densities import MinibatchLogDensities
from fastvae._layout import rows
from fastvae._options import MinibatchOptions, scale_form
from fastvae.functional._dispatch import use_reference


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
    """log q(z) and sum_d log q(z_d) of the aggregate posterior q(z) = E_x q(z | x), in nats (Chen et al. 2018).

    Each row of the batch is a sample of its own posterior, and is judged by the posteriors of all rows: log q(z_i) is
    estimated by log sum_j w_ij q(z_i | x_j), each log q(z_id) likewise. The mean of their difference estimates the
    total correlation KL(q(z) || prod_d q(z_d)). No tensor of ``[batch, batch]`` is made.

    Args:
        z: samples, ``[batch, ...]``; all dimensions but the first count as one of size D.
        mu, scale: of the posteriors they were drawn from, in the shape of `z`.
        dataset_size: N, the number of samples that the batch was drawn from.
        weighting: ``"mws"``, minibatch-weighted sampling: w_ij = 1 / (N batch); or ``"mss"``, the stratified sampling
            of their appendix C.2: with M = batch - 1, w_ij is 1 / N for j = i, (N - M) / (N M) for the next row
            (cyclically) and 1 / M for all others. It takes a batch of 2 to N.
        parameterization, clamp, min_std, min_var: what `scale` means, see `reparameterize`.

    Returns:
        ``(log_qz, log_qz_product)``, ``[batch]`` each. Gradients reach z, mu and scale.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, an option out of its range, or a
            batch that ``"mss"`` does not take.

    Examples:
        >>> z = torch.tensor([[0.0, 0.1], [1.0, 0.9], [2.0, 2.1]])  # two dimensions that say the same
        >>> logvar = torch.full_like(z, -2.0)
        >>> log_qz, log_qz_product = F.minibatch_log_densities(z, z, logvar, dataset_size=3, weighting="mss")
        >>> log_qz
        tensor([-0.9353, -0.9329, -0.9363])
        >>> (log_qz - log_qz_product).mean()  # the total correlation: above 0, because they are not independent
        tensor(1.0053)
    """
    _mixture_checks.minibatch(z, mu, scale, dataset_size, weighting)
    form = scale_form(parameterization, clamp, min_std, min_var)
    if use_reference("z", z):
        from fastvae import reference

        return reference.minibatch_log_densities(
            z, mu, scale, dataset_size=dataset_size, weighting=weighting, parameterization=parameterization,
            clamp=clamp, min_std=min_std, min_var=min_var,
        )  # fmt: skip
    options = MinibatchOptions(form, dataset_size, weighting)
    log_qz, log_qz_product, _ = MinibatchLogDensities.apply(rows(z), rows(mu), rows(scale), options)
    return log_qz, log_qz_product
