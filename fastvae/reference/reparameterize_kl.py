"""Reparameterized samples (Kingma & Welling 2014, section 2.4) and the KL of two diagonal Gaussians (appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae import _checks
from fastvae._layout import sample_shape, unpack
from fastvae._noise import noise
from fastvae._options import ScaleForm, scale_form
from fastvae._outputs import compute_dtype
from fastvae.reference import _common
from fastvae.reference.noise import normal_like


def reparameterize(
    mu: Tensor,
    scale: Tensor,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    eps: Tensor | None = None,
    seed: int | Tensor | None = None,
    generator: torch.Generator | None = None,
    num_samples: int | None = None,
) -> Tensor:
    _checks.posterior(mu, scale)
    form = scale_form(parameterization, clamp, min_std, min_var)
    source = noise(mu, mu.shape, eps=eps, seed=seed, generator=generator, num_samples=num_samples)
    dtype = compute_dtype(mu)
    if source.eps is not None:
        draw = source.eps.to(dtype)
    else:
        assert source.seed is not None
        draw = normal_like(source.seed, sample_shape(mu.shape, num_samples), mu, dtype)
    return (mu.to(dtype) + _common.std(scale.to(dtype), form) * draw).to(mu.dtype)


def gaussian_kl(
    mu: Tensor,
    scale: Tensor,
    prior: tuple[Tensor, Tensor] | None = None,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> Tensor:
    _checks.posterior(mu, scale)
    _checks.reduction(reduction)
    _checks.batch_dims(batch_dims, mu)
    form = scale_form(parameterization, clamp, min_std, min_var)
    mu_p, scale_p = _checks.prior(prior, mu, mu.shape)
    mu, scale = _common.upcast(mu, mu), _common.upcast(scale, mu)
    if mu_p is not None and scale_p is not None:
        mu_p, scale_p = _common.upcast(mu_p, mu), _common.upcast(scale_p, mu)
    return _common.reduce(_kl(mu, scale, mu_p, scale_p, form), reduction, batch_dims)


def _kl(mu: Tensor, scale: Tensor, mu_p: Tensor | None, scale_p: Tensor | None, form: ScaleForm) -> Tensor:
    """0.5 * ((mu - mu_p)^2 / var_p + r - 1 - log r), r = var / var_p, without cancellation near r = 1."""
    delta = mu if mu_p is None else mu - mu_p
    logvar = _common.log_variance(scale, form)
    if logvar is not None:
        logvar_p = None if scale_p is None else _common.log_variance(scale_p, form)
        log_ratio = logvar if logvar_p is None else logvar - logvar_p
        distance = delta.square() if logvar_p is None else delta.square() * torch.exp(-logvar_p)
        return 0.5 * (distance + (torch.expm1(log_ratio) - log_ratio))
    var = _common.variance(scale, form)
    var_p = torch.ones_like(var) if scale_p is None else _common.variance(scale_p, form)
    excess = (var - var_p) / var_p
    return 0.5 * (delta.square() / var_p + (excess - _log_ratio(var / var_p, excess)))


def _log_ratio(ratio: Tensor, excess: Tensor) -> Tensor:
    """log r from r - 1 where r is near 1, from r elsewhere; each branch sees only values it is good for."""
    near = excess.abs() < 0.5
    by_excess = torch.log1p(torch.where(near, excess, 0))
    return torch.where(near, by_excess, torch.log(torch.where(near, 1, ratio)))


def reparameterize_kl(
    mu: Tensor,
    scale: Tensor,
    prior: tuple[Tensor, Tensor] | None = None,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    eps: Tensor | None = None,
    seed: int | Tensor | None = None,
    generator: torch.Generator | None = None,
    num_samples: int | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> tuple[Tensor, Tensor]:
    z = reparameterize(
        mu, scale, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
        eps=eps, seed=seed, generator=generator, num_samples=num_samples,
    )  # fmt: skip
    kl = gaussian_kl(
        mu, scale, prior, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
        reduction=reduction, batch_dims=batch_dims,
    )  # fmt: skip
    return z, kl


def reparameterize_kl_packed(
    moments: Tensor,
    prior: tuple[Tensor, Tensor] | None = None,
    *,
    dim: int = 1,
    interleaved: bool = False,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    eps: Tensor | None = None,
    seed: int | Tensor | None = None,
    generator: torch.Generator | None = None,
    num_samples: int | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> tuple[Tensor, Tensor]:
    mu, scale = unpack(moments, _checks.packed(moments, dim), interleaved)
    return reparameterize_kl(
        mu, scale, prior, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
        eps=eps, seed=seed, generator=generator, num_samples=num_samples, reduction=reduction, batch_dims=batch_dims,
    )  # fmt: skip
