"""Bits per dimension: of probabilities the length of a code, of densities that of the levels they stand for."""

import json
import math

import pytest
import torch
from torch import Tensor, nn

from fastvae import VAE
from fastvae.losses import Reconstruction
from fastvae.train.evaluation.bits import bits
from fastvae.train.evaluation.evaluate import evaluated
from fastvae.train.evaluation.likelihood import _at_once
from fastvae.train.models import levels
from fastvae.train.quality.asked import Asked
from fastvae.train.settings.kinds import OF_FRACTIONS, OF_LEVELS
from tests.support.command_line import TINY, fastvae
from tests.train.simple_models import config, split

DENSITIES = tuple(name for name in OF_FRACTIONS if not name.startswith("bernoulli"))


def unit(shape: tuple[int, ...] = (3, 8, 8), **settings):
    return bits(config(shape, 10, **settings))


def test_all_likelihoods_are_known():
    assert set(DENSITIES) == {"gaussian", "squared_error", "laplace", "gaussian_learned", "laplace_learned"}


@pytest.mark.parametrize("likelihood", OF_LEVELS)
def test_probabilities_of_levels(likelihood):
    # 8 bits for each of 192 values, and nothing added.
    assert unit(likelihood=likelihood).of(-192 * 8 * math.log(2)) == pytest.approx(8)
    assert str(unit(likelihood=likelihood)) == "of 192 values"


@pytest.mark.parametrize("likelihood", DENSITIES)
def test_densities_are_those_of_a_step_between_levels(likelihood):
    # A density of 1 everywhere in [0, 1] gives each of 255 steps the same.
    assert unit(likelihood=likelihood).of(0.0) == pytest.approx(math.log2(255))
    assert unit(likelihood=likelihood).of(192 * math.log(255)) == pytest.approx(0, abs=1e-12)
    assert str(unit(likelihood=likelihood)) == "of 192 values, the density of each times the 1/255 between levels"


@pytest.mark.parametrize("likelihood", DENSITIES)
@pytest.mark.parametrize("settings", [{"binarize": "threshold"}, {"binarize": "dynamic"}, {"values": "unit"}])
def test_densities_of_what_has_other_levels_have_none(likelihood, settings):
    assert unit(likelihood=likelihood, **settings) is None


@pytest.mark.parametrize("likelihood", ["bernoulli", "bernoulli_probs"])
def test_bernoulli_is_a_probability_of_bits_alone(likelihood):
    assert unit(likelihood=likelihood) is None
    for binarize in ("threshold", "dynamic"):
        assert unit(likelihood=likelihood, binarize=binarize).of(-192 * math.log(2)) == pytest.approx(1)


def test_the_values_of_a_target_count():
    assert unit((1, 8, 8), likelihood="gaussian", condition="quadrants", quadrants=1).dimensions == 48
    assert unit((50,), likelihood="poisson").dimensions == 50


def test_a_density_stands_for_the_probability_of_a_level():
    """The integral of the density over a level, 1/255 wide, by the distribution function in float64."""
    target = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    prediction = torch.full((1, 1, 16, 16), 0.4)
    reconstruction = Reconstruction("gaussian_learned")
    scale = 0.5
    nn.init.constant_(reconstruction.log_scale, math.log(scale))
    found = unit((1, 16, 16), likelihood="gaussian_learned").of(reconstruction.log_prob(prediction, target).item())
    normal = torch.distributions.Normal(torch.tensor(0.4, dtype=torch.float64), scale)
    edges = (torch.arange(257, dtype=torch.float64) - 0.5) / 255
    exact = -(normal.cdf(edges[1:]) - normal.cdf(edges[:-1])).log2().mean().item()
    # The midpoint rule is off by h^2 / 24 f''/f with f''/f = ((x - mean)^2 / scale^2 - 1) / scale^2, below 1 / scale^2
    # here; the sum of 256 terms of a few nats in float32 by less than 2^-20 of it.
    assert found == pytest.approx(exact, abs=1 / (255 * scale) ** 2 / 24 / math.log(2) + 2**-20)


class Constant(nn.Module):
    """The same output for every latent."""

    def __init__(self, *shape: int, value: float = 0.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full(shape, value))

    def forward(self, z: Tensor) -> Tensor:
        return self.value.expand(len(z), *self.value.shape)


class Prior(nn.Module):
    """A posterior that is the prior: the ELBO is then the log-likelihood."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(x), 2), torch.zeros(len(x), 2)


def evaluation(chosen, decoder: nn.Module, test) -> dict:
    model = VAE(Prior(), decoder, likelihood=levels.likelihood(chosen.likelihood), latent_shape=2)
    values: dict = {}
    for found, _ in evaluated(model, chosen, test, 2, Asked()):
        values |= found
    return values


def test_a_fair_coin_is_one_bit_a_pixel():
    chosen = config((1, 8, 8), 10, latent_dim=2, likelihood="bernoulli", binarize="threshold")
    test = split(1, 8, 8)
    found = evaluation(chosen, Constant(1, 8, 8), test._replace(images=test.images // 128 * 255))
    assert found["bits_per_dimension"] == pytest.approx(1, rel=1e-6)
    assert found["log_likelihood_bits_per_dimension"] == pytest.approx(1, rel=1e-6)


def test_bits_of_counts():
    chosen = config((3, 8, 8), 10, latent_dim=2, likelihood="poisson")
    test = split(3, 8, 8)
    found = evaluation(chosen, Constant(3, 8, 8, value=math.log(128)), test)
    poisson = torch.distributions.Poisson(torch.tensor(128.0, dtype=torch.float64))
    expected = -poisson.log_prob(test.images.double()).mean().item() / math.log(2)
    assert found["bits_per_dimension"] == pytest.approx(expected, rel=1e-6)
    assert found["log_likelihood_bits_per_dimension"] == pytest.approx(expected, rel=1e-6)


def test_evaluate_says_the_bits(tmp_path):
    run = tmp_path / "run"
    assert fastvae("train", *TINY, "--epochs", 1, "--likelihood", "poisson", "--out", run).code == 0
    out = fastvae("evaluate", run, "--num-samples", 5).out
    found = json.loads((run / "evaluation.json").read_text())
    assert found["bits_per_dimension"] == pytest.approx(-found["elbo"] / (64 * math.log(2)))
    assert f"ELBO in bits per dimension {found['bits_per_dimension']:.3f}, of 64 values\n" in out
    by_samples = -found["log_likelihood"] / (64 * math.log(2))
    assert found["log_likelihood_bits_per_dimension"] == pytest.approx(by_samples)
    assert f", in bits per dimension {by_samples:.3f}\n" in out


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 8, 8), (250, 100)), ((1, 28, 28), (250, 100)), ((3, 64, 64), (15, 100)), ((3, 512, 512), (1, 24))],
)
def test_likelihoods_of_large_images_take_few_at_once(shape, expected):
    assert _at_once(config(shape, 0)) == expected
