"""Log-density of a mixture of diagonal Gaussians, for priors."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae import _mixture_checks
from fastvae._autograd.log_normal_mixture import LogNormalMixture
from fastvae._layout import rows
from fastvae._options import reduction_scale, scale_form
from fastvae.functional._dispatch import use_reference


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
    """log sum_k w_k N(z; mu_k, sigma_k^2) in nats: a mixture of Gaussians as a prior, VampPrior's among them.

    Equivalent to ``torch.distributions.MixtureSameFamily`` of diagonal Gaussians (VampPrior: Tomczak & Welling 2018).
    No tensor of ``[batch, K]`` and the dimensions of a sample is made.

    Args:
        z: points, ``[batch, ...]``; ``[num_samples, batch, ...]`` with ``batch_dims=2``.
        mu, scale: of the components, ``[K, ...]`` with the dimensions of one sample.
        log_weights: ``[K]``, normalized here: the weights are their softmax. None: 1 / K each.
        parameterization, clamp, min_std, min_var: what `scale` means, see `reparameterize`.
        reduction, batch_dims: see `fastvae.functional`; ``"none"`` is refused, a mixture has no terms by element.

    Returns:
        ``[batch]`` (``[num_samples, batch]``) for ``"sample"``, else a scalar. Gradients reach z, mu, scale and
        log_weights.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, or an option out of its range.

    Examples:
        >>> mu, logvar = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]), torch.zeros(3, 2)  # K = 3
        >>> z = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
        >>> F.log_normal_mixture(z, mu, logvar)
        tensor([-2.6376, -2.8815])
        >>> D = torch.distributions
        >>> components = D.Independent(D.Normal(mu, (0.5 * logvar).exp()), 1)
        >>> D.MixtureSameFamily(D.Categorical(torch.ones(3)), components).log_prob(z)
        tensor([-2.6376, -2.8815])
    """
    _mixture_checks.mixture(z, mu, scale, log_weights, reduction, batch_dims)
    form = scale_form(parameterization, clamp, min_std, min_var)
    if use_reference("z", z):
        from fastvae import reference

        return reference.log_normal_mixture(
            z, mu, scale, log_weights, parameterization=parameterization, clamp=clamp, min_std=min_std,
            min_var=min_var, reduction=reduction, batch_dims=batch_dims,
        )  # fmt: skip
    log_prob, _ = LogNormalMixture.apply(rows(z, batch_dims), rows(mu), rows(scale), log_weights, form)
    if reduction == "sample":
        return log_prob.unflatten(0, z.shape[:batch_dims]) if batch_dims > 1 else log_prob
    factor = reduction_scale(reduction, z.numel(), len(log_prob))
    return (log_prob.sum(dtype=torch.float64) * factor).to(log_prob.dtype)
