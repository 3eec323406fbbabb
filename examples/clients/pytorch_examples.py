"""The VAE of PyTorch's examples repository, with its loss fused.

python examples/clients/pytorch_examples.py
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

import fastvae.functional as F


class VAE(nn.Module):
    """784 - 400 - 20 - 400 - 784, two heads, a decoder that ends in probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mu, self.logvar = nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = torch.relu(self.hidden(x.view(-1, 784)))
        mu, logvar = self.mu(hidden), self.logvar(hidden)
        return self.decoder(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """As it stands there."""
    reconstruction = nn.functional.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    return reconstruction - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


class FusedVAE(VAE):
    """The first line that changes; the second is the loss."""

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return F.reparameterize(mu, logvar)


def step(*, fused: bool) -> Callable[[], float]:
    """A training step on a batch of 128."""
    torch.manual_seed(0)
    model, x = FusedVAE() if fused else VAE(), torch.rand(128, 1, 28, 28)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run() -> float:
        optimizer.zero_grad()
        recon_x, mu, logvar = model(x)
        loss = F.vae_loss(recon_x, x.view(-1, 784), mu, logvar) if fused else loss_function(recon_x, x, mu, logvar)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


if __name__ == "__main__":
    for fused in (False, True):
        run = step(fused=fused)
        print("fused " if fused else "theirs", "loss", *(f"{run():.2f}" for _ in range(5)))
