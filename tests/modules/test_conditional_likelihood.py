"""log p(y | x) of a CVAE against one that is known."""

import math

import pytest
import torch
from torch import Tensor, nn

from fastvae import CVAE
from tests.modules.tiny_cvae import (
    CONDITION,
    EXACT,
    LATENT,
    TARGET,
    Generation,
    data,
)


class Exact(nn.Module):
    """The exact q(z | x, y), its sigma times `widen`."""

    def __init__(self, generation: nn.Linear, prior: nn.Linear, widen: float) -> None:
        super().__init__()
        self.networks = (generation, prior)
        self.widen = widen

    def forward(self, target: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        generation, prior = self.networks
        weight = generation.weight[:, :LATENT]
        mu, logvar = prior(condition).chunk(2, 1)
        variance = 1 / ((-logvar).exp() + weight.square().sum(0))
        residual = target - condition @ generation.weight[:, LATENT:].T - generation.bias
        return variance * (residual @ weight + mu * (-logvar).exp()), (self.widen**2 * variance).log()


def linear_gaussian(widen: float) -> tuple[CVAE, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    generation, prior = Generation().double(), nn.Linear(CONDITION, 2 * LATENT).double()
    condition, _ = data()
    with torch.no_grad():
        orthogonal, _ = torch.linalg.qr(torch.randn(TARGET, LATENT, dtype=torch.float64))
        weight = orthogonal * torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
        generation.linear.weight[:, :LATENT] = weight
        mu, logvar = prior(condition).chunk(2, 1)
        covariance = weight * logvar.exp().unsqueeze(1) @ weight.T + torch.eye(TARGET, dtype=torch.float64)
        marginal = torch.distributions.MultivariateNormal(generation(mu, condition), covariance)
        target = marginal.sample()
        log_p = marginal.log_prob(target)
    cvae = CVAE(Exact(generation.linear, prior, widen), generation, prior, likelihood="gaussian")
    return cvae, condition, target, log_p


@pytest.mark.parametrize(("num_samples", "chunk_size"), [(1, 50), (7, 3)])
def test_importance_sampling_is_exact_under_the_exact_posterior(num_samples: int, chunk_size: int) -> None:
    cvae, condition, target, log_p = linear_gaussian(1.0)
    ours = cvae.log_likelihood(condition, target, num_samples=num_samples, chunk_size=chunk_size)
    torch.testing.assert_close(ours, log_p, **EXACT)


@pytest.mark.parametrize("method", ["importance", "monte_carlo"])
def test_both_estimators_converge(method: str) -> None:
    cvae, condition, target, log_p = linear_gaussian(1.4)
    # Sixteen independent estimates of 2,000 samples: their spread gives the standard error of their mean.
    estimates = torch.stack(
        [
            cvae.log_likelihood(condition, target, num_samples=2000, method=method, chunk_size=2000, seed=seed)
            for seed in range(16)
        ]
    )
    error = estimates.std(0) / math.sqrt(16)
    # 5 standard errors of a t-distribution with 15 degrees: 2e-4 a sample; and log's own bias, -error^2 * 16 / 2.
    assert (error < 0.02).all()
    assert ((estimates.mean(0) - log_p).abs() < 5 * error + 8 * error**2).all()


def test_importance_sampling_has_less_spread_than_monte_carlo() -> None:
    cvae, condition, target, _ = linear_gaussian(1.4)
    spread = {
        method: torch.stack(
            [cvae.log_likelihood(condition, target, num_samples=50, method=method, seed=seed) for seed in range(20)]
        )
        .std(0)
        .mean()
        for method in ("importance", "monte_carlo")
    }
    assert spread["importance"] < spread["monte_carlo"]
