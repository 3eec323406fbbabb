"""Importance-sampled log p(x) of a VAE, and training on its weights, against densities that are known."""

import math

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor, nn

import fastvae.functional as F
from fastvae import VAE
from tests.modules.tiny import BATCH, EXACT, LATENT, PIXELS, assert_same, data, model, moments


class Posterior(nn.Module):
    """The exact posterior of z ~ N(0, I), x ~ N(W z + b, I) with orthogonal columns in W, its sigma times `widen`."""

    def __init__(self, decoder: nn.Linear, widen: float) -> None:
        super().__init__()
        self.decoder = [decoder]
        self.widen = widen

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = self.decoder[0].weight, self.decoder[0].bias
        variance = 1 / (1 + weight.square().sum(0))
        mu = (x - bias) @ weight * variance
        return mu, (self.widen**2 * variance).log().expand_as(mu)


def linear_gaussian(widen: float) -> tuple[VAE, Tensor, Tensor]:
    """The model, data from it, and its log p(x)."""
    torch.manual_seed(0)
    decoder = nn.Linear(LATENT, PIXELS).double()
    with torch.no_grad():
        orthogonal, _ = torch.linalg.qr(torch.randn(PIXELS, LATENT, dtype=torch.float64))
        decoder.weight.copy_(orthogonal * torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
        covariance = decoder.weight @ decoder.weight.T + torch.eye(PIXELS, dtype=torch.float64)
        marginal = torch.distributions.MultivariateNormal(decoder.bias, covariance)
        x = marginal.sample((BATCH,))
        log_p = marginal.log_prob(x)
    return VAE(Posterior(decoder, widen), decoder, likelihood="gaussian"), x, log_p


@pytest.mark.parametrize(("num_samples", "chunk_size"), [(1, 50), (7, 3), (4, 4)])
def test_log_likelihood_is_exact_under_the_exact_posterior(num_samples: int, chunk_size: int) -> None:
    vae, x, log_p = linear_gaussian(1.0)
    ours = vae.log_likelihood(x, num_samples=num_samples, chunk_size=chunk_size)
    torch.testing.assert_close(ours, log_p, **EXACT)


def test_log_likelihood_converges_under_another_posterior() -> None:
    vae, x, log_p = linear_gaussian(1.5)
    count = 20_000
    ours = vae.log_likelihood(x, num_samples=count, chunk_size=4000, seed=0)
    weights = (vae.log_weights(x, num_samples=count, seed=0) - log_p).exp()
    # Delta method: the standard error of log mean w. Bounded weights (a wider posterior), so that it holds at this K.
    error = weights.std(0) / weights.mean(0) / math.sqrt(count)
    assert (error < 0.02).all()
    assert ((ours - log_p).abs() < 4.5 * error).all()


def test_log_likelihood_tightens_with_the_samples() -> None:
    vae, x, log_p = linear_gaussian(0.5)
    elbo = vae.log_likelihood(x.repeat(400, 1), num_samples=1, seed=0).mean()
    iwae = vae.log_likelihood(x.repeat(400, 1), num_samples=50, seed=0).mean()
    assert elbo < iwae < log_p.mean() + 0.1


def test_chunks_draw_different_noise() -> None:
    vae, x, _ = linear_gaussian(1.5)
    one = vae.log_likelihood(x, num_samples=1, seed=0)
    assert not torch.allclose(vae.log_likelihood(x, num_samples=2, chunk_size=1, seed=0), one)
    again = vae.log_likelihood(x, num_samples=6, chunk_size=4, seed=0)
    assert torch.equal(again, vae.log_likelihood(x, num_samples=6, chunk_size=4, seed=0))
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(again, vae.log_likelihood(x, num_samples=6, chunk_size=4, generator=generator))


def test_iwae_trains_on_log_weights() -> None:
    vae, x = model(), data()
    ours = -F.importance_weighted_bound(vae.log_weights(x, num_samples=4, seed=2)).mean()
    mu, logvar = moments(vae, x)
    normal = torch.distributions.Normal
    z = mu + (0.5 * logvar).exp() * ((vae(x, num_samples=4, seed=2).z - mu) / (0.5 * logvar).exp()).detach()
    log_w = -T.binary_cross_entropy_with_logits(vae.decoder(z), x.expand(4, -1, -1), reduction="none").sum(2)
    log_w = log_w + normal(torch.zeros_like(z), 1.0).log_prob(z).sum(2)
    log_w = log_w - normal(mu, (0.5 * logvar).exp()).log_prob(z).sum(2)
    assert_same(ours, -(torch.logsumexp(log_w, 0) - math.log(4)).mean(), vae)
