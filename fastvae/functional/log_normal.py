"""Log-density of a diagonal Gaussian, for Monte-Carlo ELBOs and importance weights."""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks
from fastvae._autograd.log_normal import LogNormal
from fastvae._options import DensityOptions, scale_form
from fastvae.functional._dispatch import plain


def log_normal(
    z: Tensor,
    mu: Tensor | None = None,
    scale: Tensor | None = None,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    reduction: str = "sample",
    batch_dims: int = 1,
) -> Tensor:
    """log N(z; mu, sigma^2) in nats; the standard normal when `mu` and `scale` are both left out.

    Equivalent to ``torch.distributions.Normal(mu, sigma).log_prob(z)``, summed as `reduction` says.

    Args:
        z: points, ``[batch, ...]``; ``[num_samples, batch, ...]`` with ``batch_dims=2``.
        mu, scale: tensors of shapes that broadcast to that of `z`; options as in `reparameterize`.
        reduction, batch_dims: see `fastvae.functional`.

    Returns:
        ``[batch]`` for ``"sample"``, the shape of `z` for ``"none"``, else a scalar. Gradients reach z, mu and scale.
    """
    _checks.density(z, mu, scale, reduction, batch_dims)
    form = scale_form(parameterization, clamp, min_std, min_var)
    if plain("z", z):
        from fastvae import reference

        return reference.log_normal(
            z, mu, scale, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
            reduction=reduction, batch_dims=batch_dims,
        )  # fmt: skip
    return LogNormal.apply(z, mu, scale, DensityOptions(form, reduction, batch_dims))
