"""A VAE small enough to write its ELBO by hand."""

from typing import Any

import torch
import torch.nn.functional as T
from torch import Tensor, nn

from fastvae import VAE

# A few hundred float64 terms and two small matrix products, a few roundings of 2.2e-16 each.
EXACT = {"rtol": 1e-11, "atol": 1e-12}
BATCH, PIXELS, LATENT = 5, 12, 3


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mu, self.scale = nn.Linear(PIXELS, LATENT), nn.Linear(PIXELS, LATENT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mu(x.to(self.mu.weight.dtype)), self.scale(x.to(self.mu.weight.dtype))


class ToFloat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float() / 255


def encoder(kind: str) -> nn.Module:
    return TwoHeads() if kind == "pair" else nn.Linear(PIXELS, 2 * LATENT)


def model(kind: str = "packed", **options: Any) -> VAE:
    torch.manual_seed(0)
    return VAE(encoder(kind), nn.Sequential(nn.Linear(LATENT, 8), nn.Tanh(), nn.Linear(8, PIXELS)), **options).double()


def data() -> Tensor:
    return torch.rand(BATCH, PIXELS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def moments(vae: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    output = vae.encoder(x)
    return output if isinstance(output, tuple) else output.chunk(2, 1)


def by_hand(vae: VAE, x: Tensor, eps: Tensor) -> Tensor:
    """Bernoulli ELBO of one batch; eps may hold several samples."""
    mu, logvar = moments(vae, x)
    logits = vae.decoder(mu + (0.5 * logvar).exp() * eps)
    nll = T.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
    return nll.mean() + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()


def gradients(loss: Tensor, vae: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(vae.parameters())))


def assert_same(ours: Tensor, theirs: Tensor, vae: nn.Module) -> None:
    torch.testing.assert_close(ours, theirs, **EXACT)
    for one, other in zip(gradients(ours, vae), gradients(theirs, vae), strict=True):
        torch.testing.assert_close(one, other, **EXACT)
