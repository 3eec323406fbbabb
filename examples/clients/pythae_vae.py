"""pythae's VAE, BetaVAE and BetaTCVAE with their losses fused: `loss_function` of a subclass.

python examples/clients/pythae_vae.py
"""

from collections.abc import Callable
from typing import Any

import torch
from pythae.models import VAE, BetaTCVAE, BetaTCVAEConfig, BetaVAE, BetaVAEConfig, VAEConfig
from torch import Tensor

import fastvae.functional as F

Losses = tuple[Tensor, Tensor, Tensor]


def reconstruction(name: str, recon_x: Tensor, x: Tensor) -> Tensor:
    """pythae's ``reconstruction_loss``, summed over a sample, the mean over the batch: "bce" or "mse"."""
    if name == "bce":
        return F.binary_cross_entropy(recon_x.view_as(x), x, reduction="batchmean")
    return 0.5 * F.mse_loss(recon_x.view_as(x), x, reduction="batchmean")


class FusedVAE(VAE):
    """pythae's VAE."""

    def loss_function(self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor) -> Losses:
        recon, kl = reconstruction(self.model_config.reconstruction_loss, recon_x, x), F.gaussian_kl(mu, log_var)
        return recon + kl, recon, kl


class FusedBetaVAE(BetaVAE):
    """pythae's BetaVAE: beta multiplies the KL."""

    def loss_function(self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor) -> Losses:
        recon, kl = reconstruction(self.model_config.reconstruction_loss, recon_x, x), F.gaussian_kl(mu, log_var)
        return recon + self.beta * kl, recon, kl


class FusedBetaTCVAE(BetaTCVAE):
    """pythae's BetaTCVAE, of which batch^2 x latent numbers are never in memory.

    With ``use_mss`` the weights are those of the paper, which pythae has in other places of their matrix.
    """

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor, dataset_size: int
    ) -> Losses:
        weighting = "mss" if self.use_mss else "mws"
        log_qz, log_product = F.minibatch_log_densities(z, mu, log_var, dataset_size=dataset_size, weighting=weighting)
        information, correlation = F.log_normal(z, mu, log_var) - log_qz, log_qz - log_product
        kl = self.alpha * information + self.beta * correlation + self.gamma * (log_product - F.log_normal(z))
        recon = reconstruction(self.model_config.reconstruction_loss, recon_x, x)
        return recon + kl.mean(), recon, kl.mean()


MODELS: dict[str, tuple[type, type, Callable[..., Any]]] = {
    "vae": (VAE, FusedVAE, VAEConfig),
    "beta-vae": (BetaVAE, FusedBetaVAE, BetaVAEConfig),
    "beta-tc-vae": (BetaTCVAE, FusedBetaTCVAE, BetaTCVAEConfig),
}


def step(*, fused: bool, model: str = "vae", reconstruction_loss: str = "bce", batch: int = 128) -> Callable[[], float]:
    """A training step of pythae's default networks."""
    torch.manual_seed(0)
    theirs, ours, config = MODELS[model]
    settings = {"input_dim": (1, 28, 28), "latent_dim": 16, "reconstruction_loss": reconstruction_loss}
    vae = (ours if fused else theirs)(config(**settings))
    data = {"data": torch.rand(batch, 1, 28, 28)}
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    size = {"dataset_size": 60_000} if model == "beta-tc-vae" else {}

    def run() -> float:
        optimizer.zero_grad()
        loss: Tensor = vae(data, **size).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


if __name__ == "__main__":
    for model in MODELS:
        for fused in (False, True):
            run = step(fused=fused, model=model)
            print(model, "fused " if fused else "theirs", "loss", *(f"{run():.2f}" for _ in range(5)))
