"""Whole training steps: fastvae's, plain PyTorch's, and the one that everybody copies.

The copied step is the one of PyTorch's own VAE example: two heads, a sigmoid, binary cross entropy on probabilities
and the textbook KL, summed. Plain PyTorch's differs from it in that it has logits in place of the sigmoid, as fastvae's
does. Adam is fused for every provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as T
from torch import Tensor, nn

import fastvae.functional as F
from bench.timing import Trial

Loss = Callable[[Tensor], Tensor]


class _Networks(NamedTuple):
    """An encoder up to its features, their number, and a decoder to logits."""

    encoder: nn.Module
    features: int
    decoder: nn.Module


def _mlp(latent: int) -> _Networks:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU())
    decoder = nn.Sequential(nn.Linear(latent, 400), nn.ReLU(), nn.Linear(400, 784), nn.Unflatten(1, (1, 28, 28)))
    return _Networks(encoder, 400, decoder)


def _conv(latent: int) -> _Networks:
    """Four strided convolutions each way on 64 x 64 (Higgins et al. 2017)."""
    widths = (3, 32, 32, 64, 64)
    encoder: list[nn.Module] = []
    decoder: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        encoder += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), nn.ReLU()]
        decoder = [nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), *decoder]
    head = [nn.Linear(latent, 1024), nn.Unflatten(1, (64, 4, 4))]
    return _Networks(nn.Sequential(*encoder, nn.Flatten()), 1024, nn.Sequential(*head, *decoder))


class _Plain(nn.Module):
    """Two heads, the textbook KL, cross entropy of the logits."""

    def __init__(self, networks: Callable[[int], _Networks], latent: int) -> None:
        super().__init__()
        self.encoder, features, self.decoder = networks(latent)
        self.mu, self.logvar = nn.Linear(features, latent), nn.Linear(features, latent)

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x)
        mu, logvar = self.mu(features), self.logvar(features)
        std = torch.exp(0.5 * logvar)
        z = mu + torch.randn_like(std) * std
        return self.cross_entropy(self.decoder(z), x) - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())

    def cross_entropy(self, logits: Tensor, x: Tensor) -> Tensor:
        """Summed over everything."""
        return T.binary_cross_entropy_with_logits(logits, x, reduction="sum")


class _Copied(_Plain):
    """The widely copied model and loss."""

    def cross_entropy(self, logits: Tensor, x: Tensor) -> Tensor:
        """Of the probabilities of a sigmoid, summed over everything."""
        return T.binary_cross_entropy(torch.sigmoid(logits), x, reduction="sum")


class _Fused(nn.Module):
    """The same networks, one packed head, fastvae's ops."""

    def __init__(self, networks: Callable[[int], _Networks], latent: int) -> None:
        super().__init__()
        self.encoder, features, self.decoder = networks(latent)
        self.moments = nn.Linear(features, 2 * latent)

    def forward(self, x: Tensor) -> Tensor:
        z, kl = F.reparameterize_kl_packed(self.moments(self.encoder(x)), reduction="sum")
        return F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") + kl


# By provider, what makes the model, and whether torch.compile runs it.
Providers = Mapping[str, tuple[Callable[[], nn.Module], bool]]


def _providers(networks: Callable[[int], _Networks], latent: int) -> Providers:
    fused, plain, copied = (partial(model, networks, latent) for model in (_Fused, _Plain, _Copied))
    return {
        "fastvae": (fused, False),
        "eager": (plain, False),
        "compile": (plain, True),
        "eager_sigmoid": (copied, False),
        "compile_sigmoid": (copied, True),
        "fastvae_compile": (fused, True),
    }


def uniform(shape: tuple[int, ...]) -> Tensor:
    """Pixels in [0, 1), the same for every provider."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


class TrainingStep(NamedTuple):
    """A training step of each provider's model, from a batch to its loss.

    Attributes:
        shape: of the batch.
        providers: their models.
        batch: makes it from the shape.
    """

    name: str
    shape: tuple[int, ...]
    providers: Providers
    batch: Callable[[tuple[int, ...]], Tensor] = uniform

    @property
    def size(self) -> str:
        """The shape of the batch."""
        return "x".join(map(str, self.shape))

    @property
    def elements(self) -> int:
        """Values of a batch."""
        return torch.Size(self.shape).numel()

    def trials(self) -> dict[str, Trial]:
        """One step of each provider, each on a model of its own."""
        x = self.batch(self.shape)
        return {provider: self._trial(x, *row) for provider, row in self.providers.items()}

    def _trial(self, x: Tensor, model: Callable[[], nn.Module], compiled: bool) -> Trial:
        torch.manual_seed(0)
        network = model()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        loss_of: Loss = torch.compile(network, fullgraph=True, dynamic=False) if compiled else network

        def step(_: Any) -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(x)
            loss.backward()
            optimizer.step()
            return loss

        return Trial(lambda: None, step)


TRAINING_STEPS: Final = (
    TrainingStep("mlp_step", (128, 1, 28, 28), _providers(_mlp, 20)),
    TrainingStep("conv_step", (64, 3, 64, 64), _providers(_conv, 128)),
)
