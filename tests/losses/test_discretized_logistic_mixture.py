"""Mixtures of discretized logistics as the likelihood of a model: moments and draws against all levels."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

import fastvae
from fastvae import VAE, ELBOLoss
from fastvae.losses import DiscretizedLogisticMixture

MIXTURES = 2
GREY, COLOUR = 3 * MIXTURES, 10 * MIXTURES


def parameters(channels: int, *pixels: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = GREY if channels == 1 else COLOUR
    values = torch.randn(pixels[0], size, *pixels[1:], generator=generator, dtype=torch.float64)
    return 0.7 * values - 0.5


def levels(bits: int) -> Tensor:
    return 2 * torch.arange(2**bits, dtype=torch.float64) / (2**bits - 1) - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_and_the_draws_are_those_of_the_levels(channels: int) -> None:
    bits, draws = 4, 20000
    density = DiscretizedLogisticMixture(MIXTURES, bits=bits)
    params = parameters(channels, 1, 1, 1)
    grid = torch.tensor(list(itertools.product(levels(bits).tolist(), repeat=channels)), dtype=torch.float64)
    grid = grid.reshape(-1, channels, 1, 1)
    masses = density.log_prob(params.expand(len(grid), -1, 1, 1), grid).exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-12)
    exact = (masses[:, None] * grid[:, :, 0, 0]).sum(0)
    deviation = ((masses[:, None] * grid[:, :, 0, 0] ** 2).sum(0) - exact**2).sqrt()
    mean = density.mean(params)[0, :, 0, 0]
    assert mean[0].item() == pytest.approx(exact[0].item(), abs=1e-3)
    # Later channels see the mean of the earlier ones in place of their draws.
    torch.testing.assert_close(mean, exact, rtol=0, atol=0.1)
    drawn = density.sample(params.expand(draws, -1, 1, 1), seed=3)[:, :, 0, 0]
    assert drawn.shape == (draws, channels)
    assert torch.isclose(drawn[..., None], levels(bits), rtol=0, atol=1e-12).any(-1).all()
    assert ((drawn.mean(0) - exact).abs() < 4 * deviation / draws**0.5).all()
    torch.testing.assert_close(drawn.std(0), deviation, rtol=0.03, atol=0)
    first = (drawn[:, :1] == levels(bits)).double().mean(0)
    marginal = torch.stack([masses[grid[:, 0, 0, 0] == level].sum() for level in levels(bits)])
    torch.testing.assert_close(first, marginal, rtol=0, atol=0.015)


def test_a_seed_or_a_generator_says_what_is_drawn() -> None:
    density, params = DiscretizedLogisticMixture(MIXTURES), parameters(3, 2, 4, 4)
    first, again = density.sample(params, seed=1), density.sample(params, seed=1)
    assert torch.equal(first, again)
    assert torch.equal(first, density.sample(params, generator=torch.Generator().manual_seed(1)))
    assert not torch.equal(first, density.sample(params, seed=2))
    with pytest.raises(ValueError, match="seed, generator: got both"):
        density.sample(params, seed=1, generator=torch.Generator())


def test_channels_may_be_last() -> None:
    params = parameters(3, 2, 4, 4)
    density, last = DiscretizedLogisticMixture(MIXTURES), DiscretizedLogisticMixture(MIXTURES, dim=-1)
    moved = params.movedim(1, -1).contiguous()
    torch.testing.assert_close(last.mean(moved), density.mean(params).movedim(1, -1))
    target = density.sample(params, seed=0)
    torch.testing.assert_close(last(moved, target.movedim(1, -1)), density(params, target))
    assert last.sample(moved, seed=0).shape == (2, 4, 4, 3)


def model(**options: object) -> VAE:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(48, 8))
    decoder = nn.Sequential(nn.Linear(4, 16 * COLOUR), nn.Unflatten(1, (COLOUR, 4, 4)))
    return VAE(encoder, decoder, likelihood=DiscretizedLogisticMixture(num_mixtures=MIXTURES), **options)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("num_samples", [None, 3])
def test_a_model_is_trained_on_it(num_samples: int | None, backend: Literal["auto", "reference"]) -> None:
    vae, pixels = model(), torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    x = pixels / 127.5 - 1
    with fastvae.use_backend(backend):
        output = vae(x, pixels, num_samples=num_samples, seed=1)
    prediction = output.prediction if num_samples is None else output.prediction.flatten(0, 1)
    targets = pixels if num_samples is None else pixels.repeat(num_samples, 1, 1, 1)
    nll = -vae.elbo.reconstruction.likelihood.log_prob(prediction, targets)
    torch.testing.assert_close(output.loss, nll.mean() + output.kl.mean())
    torch.testing.assert_close(output.reconstruction_loss.flatten(), nll)
    decoder = list(vae.decoder.parameters())
    early = torch.autograd.grad(output.loss, decoder, retain_graph=True)
    torch.testing.assert_close(early, torch.autograd.grad(nll.mean(), decoder))


def test_a_model_draws_and_is_judged_by_it() -> None:
    vae, pixels = model(latent_shape=4), torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    x = pixels / 127.5 - 1
    for image in (vae.sample(5, seed=0), vae.reconstruct(x)):
        assert image.shape == x.shape
        assert (image.abs() <= 1).all()
    likelihood = vae.log_likelihood(x, pixels, num_samples=4, seed=0)
    assert likelihood.shape == (5,)
    assert torch.isfinite(likelihood).all()


def test_an_objective_names_what_does_not_fit() -> None:
    loss = ELBOLoss(likelihood=DiscretizedLogisticMixture(MIXTURES))
    kl, target = torch.zeros(2), torch.zeros(2, 3, 4, 4)
    with pytest.raises(ValueError, match="params: got size 7 along dim 1; takes 20"):
        loss(torch.zeros(2, 7, 4, 4), target, kl)
    with pytest.raises(ValueError, match=r"prediction: got size 7 along dim 1; takes 20 for three .* or 6 for"):
        loss.mean(torch.zeros(2, 7, 4, 4))
    with pytest.raises(TypeError, match="prediction: got tuple"):
        loss.mean((torch.zeros(2, 20, 4, 4),))


def test_repr_says_what_differs() -> None:
    assert repr(DiscretizedLogisticMixture(5)) == "DiscretizedLogisticMixture(num_mixtures=5)"
    assert repr(DiscretizedLogisticMixture(bits=5)) == "DiscretizedLogisticMixture(num_mixtures=10, bits=5)"
