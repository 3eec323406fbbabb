"""Whole training steps of which the loss is a large part: a single-cell VAE, a beta-TC-VAE, a mixture as the prior."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
import torch.nn.functional as T
from torch import Tensor, nn

import fastvae.functional as F
from bench import formulas, heavy_ops
from bench.cpu.training_steps import Providers, TrainingStep

_DATASET: Final = 60_000


class _Cells(nn.Module):
    """scVI's networks (Lopez et al. 2018): one hidden layer of 128 each way, 10 latents, a dispersion a gene."""

    def __init__(self, genes: int, latent: int, *, fused: bool) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(genes, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 128), nn.BatchNorm1d(128), nn.ReLU())
        self.scale, self.logits = nn.Linear(128, genes), nn.Linear(128, genes)
        self.log_theta = nn.Parameter(torch.randn(genes))
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        moments = self.encoder(torch.log1p(x))
        z, kl = _latent(moments, fused=self.fused)
        hidden = self.decoder(z)
        mean = torch.softmax(self.scale(hidden), 1) * x.sum(1, keepdim=True)
        likelihood = heavy_ops.fused_zero_inflated if self.fused else heavy_ops.zero_inflated
        return likelihood(mean, self.log_theta.exp(), self.logits(hidden), x)[0] + kl


class _Divided(nn.Module):
    """The MLP of PyTorch's VAE example under the objective of beta-TC-VAE."""

    def __init__(self, latent: int, *, fused: bool) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 400), nn.ReLU(), nn.Linear(400, 784))
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        moments = self.encoder(x)
        z, kl = _latent(moments, fused=self.fused)
        mu, logvar = moments.chunk(2, 1)
        logits = self.decoder(z)
        if self.fused:
            log_qz, log_product = F.minibatch_log_densities(z, mu, logvar, dataset_size=_DATASET)
            bce = F.binary_cross_entropy_with_logits(logits, x, reduction="batchmean")
            return bce + kl + 5 * (log_qz - log_product).mean()
        bce = T.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        return bce + kl + 5 * heavy_ops.total_correlation(z, mu, logvar)[0]


class _Mixture(nn.Module):
    """The same MLP, with 500 learned Gaussians as its prior (Tomczak & Welling 2018, their "MoG")."""

    def __init__(self, latent: int, components: int, *, fused: bool) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 400), nn.ReLU(), nn.Linear(400, 784))
        self.mu = nn.Parameter(torch.randn(components, latent))
        self.logvar = nn.Parameter(torch.zeros(components, latent))
        self.weights = nn.Parameter(torch.zeros(components))
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        mu, logvar = self.encoder(x).chunk(2, 1)
        prior = self.mu, self.logvar, self.weights
        if self.fused:
            z = F.reparameterize(mu, logvar)
            bce = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="batchmean")
            log_q = F.log_normal(z, mu, logvar, reduction="batchmean")
            return bce + log_q - F.log_normal_mixture(z, *prior, reduction="batchmean")
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        bce = T.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") / len(x)
        return bce + formulas.log_normal(z, mu, logvar).sum() / len(x) - heavy_ops.mixture(z, *prior)[0]


def _latent(moments: Tensor, *, fused: bool) -> tuple[Tensor, Tensor]:
    if fused:
        return F.reparameterize_kl_packed(moments)
    mu, logvar = moments.chunk(2, 1)
    std = torch.exp(0.5 * logvar)
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(mu)
    return mu + torch.randn_like(std) * std, kl


def _providers(model: Callable[..., nn.Module]) -> Providers:
    fused, plain = partial(model, fused=True), partial(model, fused=False)
    return {"fastvae": (fused, False), "eager": (plain, False), "compile": (plain, True)}


TESTS: Final = {
    **heavy_ops.ZERO_INFLATED.tests,
    **heavy_ops.TOTAL_CORRELATION.tests,
    **heavy_ops.LOG_NORMAL_MIXTURE.tests,
}
HEAVY_STEPS: Final = (
    *(
        TrainingStep("scvi_step", (128, genes), _providers(partial(_Cells, genes, 10)), heavy_ops.counts)
        for genes in (2000, 20000)
    ),
    TrainingStep("beta_tc_step", (1024, 784), _providers(partial(_Divided, 10))),
    TrainingStep("mixture_step", (128, 784), _providers(partial(_Mixture, 40, 500))),
)
