"""Reparameterized samples (Kingma & Welling 2014, section 2.4) and the KL of two diagonal Gaussians (appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae.reference import _common, noise, scale_forms


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
    shard: tuple[int, int] | None = None,
    num_samples: int | None = None,
) -> Tensor:
    if eps is None:
        seed = noise.seed_tensor(seed, generator, mu)
        eps = noise.normal_like(seed, mu, _common.compute_dtype(mu), num_samples, shard)
    form = scale_forms.Form(parameterization, clamp, min_std, min_var)
    sigma = scale_forms.std(scale_forms.scale(_common.upcast(scale, mu), form))
    return (_common.upcast(mu, mu) + sigma * _common.upcast(eps, mu)).to(mu.dtype)


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
    # 0.5 * (((mu - mu_p) / sigma_p)^2 + r - 1 - log r), r = var / var_p.
    form = scale_forms.Form(parameterization, clamp, min_std, min_var)
    q, p = scale_forms.scale(_common.upcast(scale, mu), form), None
    distance = _common.upcast(mu, mu)
    if prior is not None:
        mu_p, scale_p = prior
        p = scale_forms.scale(_common.upcast(scale_p, mu), form)
        distance = scale_forms.over_std(distance - _common.upcast(mu_p, mu), p)
    excess, log_ratio = scale_forms.variance_ratio(q, p)
    return _common.reduce(0.5 * (distance.square() + (excess - log_ratio)), reduction, batch_dims)


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
    shard: tuple[int, int] | None = None,
    num_samples: int | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> tuple[Tensor, Tensor]:
    z = reparameterize(
        mu, scale, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
        eps=eps, seed=seed, generator=generator, shard=shard, num_samples=num_samples,
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
    shard: tuple[int, int] | None = None,
    num_samples: int | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> tuple[Tensor, Tensor]:
    if interleaved:
        mu, scale = moments.movedim(dim, -1).unflatten(-1, (-1, 2)).unbind(-1)
        mu, scale = mu.movedim(-1, dim), scale.movedim(-1, dim)
    else:
        mu, scale = moments.chunk(2, dim)
    return reparameterize_kl(
        mu, scale, prior, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
        eps=eps, seed=seed, generator=generator, shard=shard, num_samples=num_samples, reduction=reduction,
        batch_dims=batch_dims,
    )  # fmt: skip
