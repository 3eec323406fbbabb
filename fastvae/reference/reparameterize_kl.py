"""Reparameterized samples (Kingma & Welling 2014, section 2.4) and the KL of two diagonal Gaussians (appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae import _checks
from fastvae._layout import sample_shape, unpack
from fastvae._noise import noise
from fastvae._options import ScaleForm, scale_form
from fastvae._outputs import compute_dtype
from fastvae.reference import _common, scale_forms
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
    return (mu.to(dtype) + scale_forms.std(scale_forms.scale(scale.to(dtype), form)) * draw).to(mu.dtype)


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
    """0.5 * (((mu - mu_p) / sigma_p)^2 + r - 1 - log r), r = var / var_p."""
    q, p = scale_forms.scale(scale, form), None if scale_p is None else scale_forms.scale(scale_p, form)
    distance = mu if mu_p is None or p is None else scale_forms.over_std(mu - mu_p, p)
    excess, log_ratio = scale_forms.variance_ratio(q, p)
    return 0.5 * (distance.square() + (excess - log_ratio))


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
