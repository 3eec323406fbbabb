"""Likelihoods of a pixel's level, 0 to 255: their targets, their pictures and where they begin."""

import pytest
import torch
from torch import distributions, nn

from fastvae import VAE, networks
from fastvae.losses._named import NAMES, named
from fastvae.train.models import build, levels, objectives, start
from fastvae.train.models.conditional import Baseline
from fastvae.train.options import choices
from fastvae.train.settings.kinds import OF_COUNTS, OF_LEVELS
from tests.train.small_runs import config

pytestmark = pytest.mark.usefixtures("one_thread")

MIXTURE = "discretized_logistic_mixture"
COUNTS = ("poisson", "negative_binomial", "zero_inflated_negative_binomial")


def test_the_command_line_takes_every_likelihood():
    assert (*COUNTS, MIXTURE) == OF_LEVELS
    assert COUNTS == OF_COUNTS
    assert sorted(choices("likelihood")) == sorted(NAMES)


def parts(likelihood: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A prediction in float64 and uint8 targets, all levels from black to white among them."""
    random = torch.Generator().manual_seed(0)
    channels = networks.decoder_channels(likelihood)
    prediction = torch.randn(4, channels, 8, 8, generator=random, dtype=torch.float64)
    if likelihood in OF_COUNTS:
        prediction[:, 0] += 4
    return prediction, torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)


def log_density(likelihood: str, prediction: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """By torch.distributions."""
    log_mean, *rest = prediction.split(1, 1)
    if likelihood == "poisson":
        return distributions.Poisson(log_mean.exp()).log_prob(x)
    log_p = distributions.NegativeBinomial(rest[0].exp(), logits=log_mean - rest[0]).log_prob(x)
    if len(rest) == 1:
        return log_p
    none = nn.functional.logsigmoid(rest[1])
    counted = log_p + nn.functional.logsigmoid(-rest[1])
    return torch.where(x == 0, torch.logaddexp(none, counted), counted)


@pytest.mark.parametrize("likelihood", COUNTS)
def test_counts_are_the_levels(likelihood):
    prediction, target = parts(likelihood)
    expected = log_density(likelihood, prediction, target.double()).flatten(1).sum(1)
    density = levels.likelihood(likelihood)
    assert isinstance(density, levels.Levels)
    torch.testing.assert_close(density.log_prob(prediction, target), expected, rtol=1e-7, atol=0)
    torch.testing.assert_close(density(prediction, target), -expected, rtol=1e-7, atol=0)
    mean, samples = density.batch_mean(prediction, target)
    torch.testing.assert_close(mean, -expected.mean(), rtol=1e-7, atol=0)
    torch.testing.assert_close(samples, -expected, rtol=1e-7, atol=0)


def test_the_mixture_is_of_all_256_levels():
    prediction, _ = parts(MIXTURE)
    pixel = prediction[:1, :, :1, :1].expand(256, -1, 1, 1)
    every = torch.arange(256, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    assert levels.Levels(MIXTURE).log_prob(pixel, every).exp().sum().item() == pytest.approx(1)


def test_means_are_pictures():
    """Black is 0, white 1, and an expected count beyond white is white."""
    white = torch.tensor([1.0, 51.0, 255.0, 1000.0]).log().reshape(4, 1, 1, 1)
    expected = torch.tensor([1 / 255, 0.2, 1.0, 1.0]).reshape(4, 1, 1, 1)
    torch.testing.assert_close(levels.Levels("poisson").mean(white), expected)
    packed = torch.cat((white, torch.randn_like(white)), 1)
    torch.testing.assert_close(levels.Levels("negative_binomial").mean(packed), expected)
    never = torch.full_like(white, -30.0)
    inflated = levels.Levels("zero_inflated_negative_binomial")
    torch.testing.assert_close(inflated.mean(torch.cat((packed, never), 1)), expected)
    assert inflated.mean(torch.cat((packed, -never), 1)).max() < 1e-6
    # Narrow components about one value each: -1 is black, 1 is white.
    values = torch.tensor([-1.0, -0.5, 0.0, 1.0]).reshape(4, 1, 1, 1)
    mixture = torch.cat((torch.zeros(4, 10, 1, 1), values.expand(4, 10, 1, 1), torch.full((4, 10, 1, 1), -6.0)), 1)
    found = levels.Levels(MIXTURE).mean(mixture)
    torch.testing.assert_close(found, (values + 1) / 2, atol=2e-3, rtol=0)


@pytest.mark.parametrize("likelihood", OF_LEVELS)
def test_every_mean_is_between_black_and_white(likelihood):
    prediction, target = parts(likelihood)
    mean = levels.Levels(likelihood).mean(3 * prediction)
    assert mean.shape == target.shape
    assert ((mean >= 0) & (mean <= 1)).all()
    assert mean.std() > 0.05


def test_other_likelihoods_are_taken_by_name():
    assert levels.likelihood("bernoulli") == "bernoulli"


CONDITIONS = {
    "none": {},
    "label": {"condition": "label"},
    "quadrants": {"condition": "quadrants", "quadrants": 3},
    "baseline": {"condition": "quadrants", "objective": "baseline"},
}


@pytest.mark.parametrize("model", networks.ARCHITECTURES)
@pytest.mark.parametrize("likelihood", COUNTS)
def test_a_fresh_decoder_of_counts_predicts_the_mean_level(digits, likelihood, model):
    chosen = config(likelihood=likelihood, model=model)
    found = build.create(chosen)
    assert isinstance(found, VAE)
    start.begin(found, chosen, digits.train)
    output = found.decode(torch.zeros(1, 2))
    # Of biases of 0 a latent of 0 leaves the last ones.
    torch.testing.assert_close(output[:, 0].exp().mean(), digits.train.images.float().mean())
    assert (output[:, 1:] == 0).all()


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("likelihood", COUNTS)
def test_a_fresh_conditional_decoder_of_counts_does_too(digits, likelihood, condition):
    chosen = config(likelihood=likelihood, **CONDITIONS[condition])
    found = build.create(chosen)
    start.begin(found, chosen, digits.train)
    network = found.network if isinstance(found, Baseline) else getattr(found, "generation", None) or found.decoder
    layer = next(layer for layer in reversed(list(network.modules())) if isinstance(layer, nn.Linear))
    targets = digits.train.images
    if condition != "none":
        targets = build.conditioning(chosen)(targets, digits.train.labels).target
    pixels = targets[0].numel()
    torch.testing.assert_close(layer.bias[:pixels].exp(), targets.float().mean().expand(pixels))
    assert (layer.bias[pixels:] == 0).all()
    assert len(layer.bias) == networks.decoder_channels(likelihood) * pixels


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("likelihood", OF_LEVELS)
def test_every_kind_of_model_has_a_loss_and_a_picture(digits, likelihood, condition):
    chosen = config(likelihood=likelihood, **CONDITIONS[condition])
    found = build.create(chosen)
    start.begin(found, chosen, digits.train)
    loss = objectives.create(chosen, found)(digits.train.images[:5], digits.train.labels[:5])
    loss.loss.backward()
    assert loss.loss.isfinite()
    assert loss.reconstruction_loss.shape == (5,)
    assert objectives.log_normalizer(chosen) == 0
    if condition == "none":
        picture, shape = found.reconstruct(digits.test.images[:5]), digits.test.images[:5].shape
    else:
        given, target = build.conditioning(chosen)(digits.test.images[:5], digits.test.labels[:5])
        picture, shape = found.predict(given), target.shape
    assert picture.shape == shape
    assert ((picture >= 0) & (picture <= 1)).all()


@pytest.mark.parametrize("likelihood", OF_LEVELS)
def test_the_names_are_densities_or_rows(likelihood):
    low, high = named(likelihood).pixel_range
    assert (low, high) == ((-1.0, 1.0) if likelihood == MIXTURE else (0.0, 255.0))
