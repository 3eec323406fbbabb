"""The loss of each project that four tensors suffice for, as the project writes it.

The rows of `fastvae.presets` are the same losses as data; here each is a formula. KL and likelihood are this package's
own functions, which are right where a project's arithmetic cancels or overflows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import Tensor

from fastvae.reference.reconstruction import binary_cross_entropy, l1_loss, mse_loss
from fastvae.reference.reparameterize_kl import gaussian_kl

Formula = Callable[[Tensor, Tensor, Tensor, Tensor, float | Tensor], Tensor]


def vae_loss(
    recon_x: Tensor | None,
    x: Tensor | None,
    mu: Tensor,
    logvar: Tensor,
    *,
    preset: str = "pytorch-examples",
    beta: float | Tensor = 1.0,
) -> Tensor:
    if preset == "oobleck":
        return _oobleck(mu, logvar, beta)
    if preset not in _FORMULAS:
        raise ValueError(f"preset: got {preset!r}; takes one of {(*_FORMULAS, 'oobleck')}")
    if recon_x is None or x is None:
        raise ValueError(f"recon_x, x: got None with preset={preset!r}; takes tensors")
    if recon_x.dim() == 2:
        x = x.flatten(1)  # images beside a flat prediction
    return _FORMULAS[preset](recon_x, x, mu, logvar, beta)


def _pytorch_examples(p: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float | Tensor) -> Tensor:
    return binary_cross_entropy(p, x, reduction="sum") + beta * gaussian_kl(mu, logvar, reduction="sum")


def _pythae(p: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float | Tensor) -> Tensor:
    return 0.5 * mse_loss(p, x, reduction="batchmean") + beta * gaussian_kl(mu, logvar)


def _pytorch_vae(p: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float | Tensor) -> Tensor:
    return mse_loss(p, x) + beta * 0.00025 * gaussian_kl(mu, logvar)


def _disentangling_vae(p: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float | Tensor) -> Tensor:
    return binary_cross_entropy(p, x, reduction="batchmean") + beta * gaussian_kl(mu, logvar)


def _diffusers(p: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float | Tensor) -> Tensor:
    return l1_loss(p, x, reduction="batchmean") + beta * gaussian_kl(mu, logvar, clamp=(-30.0, 20.0))


def _keras(p: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float | Tensor) -> Tensor:
    """The cross-entropy is summed over positions, averaged over channels where there are any."""
    channels = x.shape[1] if x.dim() > 2 else 1
    return binary_cross_entropy(p, x, reduction="batchmean") / channels + beta * gaussian_kl(mu, logvar)


def _world_models(p: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float | Tensor) -> Tensor:
    """Half a nat a latent dimension is free in each sample."""
    kl = gaussian_kl(mu, logvar, reduction="sample").clamp(min=0.5 * mu.shape[1:].numel())
    return mse_loss(p, x, reduction="batchmean") + beta * kl.mean()


def _bolts(p: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float | Tensor) -> Tensor:
    return mse_loss(p, x) + beta * 0.1 * gaussian_kl(mu, logvar, reduction="mean")


def _oobleck(mu: Tensor, raw: Tensor, beta: float | Tensor) -> Tensor:
    """mu^2 + var - log var - 1, without the factor 0.5; no reconstruction term."""
    kl = gaussian_kl(mu, raw, parameterization="softplus", min_std=1e-4, reduction="none")
    return beta * 2.0 * kl.sum(1).mean()


_FORMULAS: Final[dict[str, Formula]] = {
    "pytorch-examples": _pytorch_examples,
    "pythae": _pythae,
    "pytorch-vae": _pytorch_vae,
    "disentangling-vae": _disentangling_vae,
    "disentangled-beta": _pythae,
    "diffusers": _diffusers,
    "keras": _keras,
    "world-models": _world_models,
    "bolts": _bolts,
}
