"""A VAE small enough to train in a test, and its training step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import fastvae

PIXELS, LATENT, BATCH = 36, 5, 16


def vae(device: str) -> fastvae.VAE:
    """The same weights each time."""
    generator_state = torch.get_rng_state()
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(PIXELS, 32), nn.ReLU(), nn.Linear(32, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, 32), nn.ReLU(), nn.Linear(32, PIXELS))
    torch.set_rng_state(generator_state)
    return fastvae.VAE(encoder, decoder, latent_shape=LATENT).to(device)


def batch(device: str) -> Tensor:
    return torch.rand(BATCH, PIXELS, generator=torch.Generator().manual_seed(1)).to(device)


def step_of(model: fastvae.VAE, optimizer: torch.optim.Optimizer, x: Tensor) -> Callable[[], Tensor]:
    """A training step that returns its loss."""

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = model(x).loss
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
