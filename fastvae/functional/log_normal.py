"""Log-density of a diagonal Gaussian, for Monte-Carlo ELBOs and importance weights."""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks
from fastvae._autograd.log_normal import LogNormal
from fastvae._options import DensityOptions, scale_form
from fastvae.functional._dispatch import use_reference


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
        mu, scale: tensors of shapes that broadcast to that of `z`.
        parameterization, clamp, min_std, min_var: what `scale` means, see `reparameterize`.
        reduction, batch_dims: see `fastvae.functional`.

    Returns:
        ``[batch]`` for ``"sample"``, the shape of `z` for ``"none"``, else a scalar. Gradients reach z, mu and scale.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, one of `mu` and `scale` without
            the other, or an option out of its range.

    Examples:
        >>> z, mu, logvar = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, -1.0]]), torch.tensor([[0.0, 2.0]])
        >>> F.log_normal(z, mu, logvar)
        tensor([-2.9629])
        >>> torch.distributions.Normal(mu, (0.5 * logvar).exp()).log_prob(z).sum(1)
        tensor([-2.9629])
        >>> F.log_normal(z)  # under N(0, I)
        tensor([-2.4629])
    """
    _checks.density(z, mu, scale, reduction, batch_dims)
    form = scale_form(parameterization, clamp, min_std, min_var)
    if use_reference("z", z):
        from fastvae import reference

        return reference.log_normal(
            z, mu, scale, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
            reduction=reduction, batch_dims=batch_dims,
        )  # fmt: skip
    return LogNormal.apply(z, mu, scale, DensityOptions(form, reduction, batch_dims))
