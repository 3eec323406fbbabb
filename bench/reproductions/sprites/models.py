"""The networks, and the objective with fastvae and in plain PyTorch."""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as T
from torch import Tensor, nn

from bench.reproductions.fitting import Objective, Terms
from bench.reproductions.sprites.drawing import SIDE
from fastvae import VAE

LATENT: Final = 10
NAMES: Final = {"beta": "beta-VAE", "tc": "beta-TC-VAE"}
_HIDDEN: Final = 256


def encoder() -> nn.Module:
    """Images ``[batch, 1, 32, 32]`` to mu and log-variance, packed ``[batch, 20]``."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(SIDE**2, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, 2 * LATENT),
    )


def decoder() -> nn.Module:
    """z ``[batch, 10]`` to logits ``[batch, 1, 32, 32]``."""
    return nn.Sequential(
        nn.Linear(LATENT, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, SIDE**2),
        nn.Unflatten(1, (1, SIDE, SIDE)),
    )


def fast(model: VAE) -> Objective:
    """The objective of `model`."""

    def objective(images: Tensor) -> Terms:
        found = model(images)
        return Terms(found.loss, found.reconstruction_loss.mean(), found.kl.mean())

    return objective


def plain(model: VAE, kind: str, beta: float, dataset_size: int) -> Objective:
    """The same for its networks in plain PyTorch, the total correlation as the code of Chen et al. estimates it."""

    def objective(images: Tensor) -> Terms:
        mu, logvar = model.encoder(images).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        logits = model.decoder(z)
        reconstruction = T.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
        if kind == "beta":
            kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
            return Terms(reconstruction + beta * kl, reconstruction.detach(), kl.detach())
        log_pz = _log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
        log_qz_x = _log_normal(z, mu, logvar).sum(1)
        # [batch, batch, latent]: the density of each sample under each posterior.
        each = _log_normal(z[:, None], mu[None], logvar[None])
        count = math.log(len(images) * dataset_size)
        log_product = (torch.logsumexp(each, 1) - count).sum(1)
        log_qz = torch.logsumexp(each.sum(2), 1) - count
        information, correlation, dimensions = log_qz_x - log_qz, log_qz - log_product, log_product - log_pz
        divided = (information + beta * correlation + dimensions).mean()
        return Terms(reconstruction + divided, reconstruction.detach(), (log_qz_x - log_pz).mean().detach())

    return objective


def _log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * (math.log(2 * math.pi) + logvar + (z - mu) ** 2 * torch.exp(-logvar))


def model_of(kind: str, beta: float, dataset_size: int) -> VAE:
    """A VAE whose objective is ``"beta"`` (beta times the KL) or ``"tc"`` (beta times its total correlation)."""
    if kind == "beta":
        return VAE(encoder(), decoder(), beta=beta, latent_shape=(LATENT,))
    return VAE(encoder(), decoder(), total_correlation=beta, dataset_size=dataset_size, latent_shape=(LATENT,))
