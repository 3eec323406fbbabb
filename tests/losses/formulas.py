"""What every likelihood is in plain PyTorch, and a batch for it."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as T
from torch import Tensor

from fastvae import DiagonalGaussian, ELBOLoss

# A few hundred float64 terms with a few roundings of 2.2e-16 each.
EXACT = {"rtol": 1e-12, "atol": 1e-13}


BATCH, LATENT = 5, 3


LOG_SCALE = 0.4


NLL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bernoulli": lambda p, x: T.binary_cross_entropy_with_logits(p, x, reduction="none"),
    "bernoulli_probs": lambda p, x: T.binary_cross_entropy(p, x, reduction="none"),
    "gaussian": lambda p, x: 0.5 * (p - x) ** 2,
    "squared_error": lambda p, x: (p - x) ** 2,
    "laplace": lambda p, x: (p - x).abs(),
    "poisson": lambda p, x: T.poisson_nll_loss(p, x, reduction="none") + torch.lgamma(x + 1),
    "gaussian_learned": lambda p, x: 0.5 * ((p - x) / math.exp(LOG_SCALE)) ** 2 + LOG_SCALE,
    "laplace_learned": lambda p, x: (p - x).abs() / math.exp(LOG_SCALE) + LOG_SCALE,
}


DENSITY: dict[str, Callable[[Tensor], torch.distributions.Distribution]] = {
    "bernoulli": lambda p: torch.distributions.Bernoulli(logits=p),
    "bernoulli_probs": lambda p: torch.distributions.Bernoulli(p),
    "gaussian": lambda p: torch.distributions.Normal(p, 1.0),
    "squared_error": lambda p: torch.distributions.Normal(p, math.sqrt(0.5)),
    "laplace": lambda p: torch.distributions.Laplace(p, 1.0),
    "poisson": lambda p: torch.distributions.Poisson(p.exp()),
    "gaussian_learned": lambda p: torch.distributions.Normal(p, math.exp(LOG_SCALE)),
    "laplace_learned": lambda p: torch.distributions.Laplace(p, math.exp(LOG_SCALE)),
}


class Batch:
    """prediction (probabilities, which every likelihood takes), target, posterior and the KL by the plain formula."""

    def __init__(self, samples: tuple[int, ...] = ()) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=generator)

        self.prediction = draw(*samples, BATCH, 2, 3).sigmoid().requires_grad_()
        self.target = draw(BATCH, 2, 3).sigmoid()
        self.mu = draw(BATCH, LATENT).requires_grad_()
        self.logvar = draw(BATCH, LATENT).requires_grad_()
        self.posterior = DiagonalGaussian(self.mu, self.logvar)
        self.elements = 0.5 * (self.mu**2 + self.logvar.exp() - 1 - self.logvar)
        self.kl = self.elements.sum(1)

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        return self.prediction, self.mu, self.logvar


def elbo(likelihood: Any = None, **options: Any) -> ELBOLoss:
    loss = ELBOLoss(likelihood, **options).double()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.fill_(LOG_SCALE)
    return loss


def assert_same(ours: Tensor, theirs: Tensor, leaves: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(ours, theirs, **EXACT)
    upstream = torch.linspace(0.5, 1.5, ours.numel(), dtype=torch.float64).reshape(ours.shape)
    got, expected = (torch.autograd.grad(loss, leaves, upstream, retain_graph=True) for loss in (ours, theirs))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)
