"""Conditional runs: what is given and what is hidden, the networks of the write-ups, likelihoods and pictures."""

import numpy as np
import pytest
import torch
import torch.nn.functional as T

from fastvae import CVAE
from fastvae.plots import figures
from fastvae.train.data import conditions
from fastvae.train.data.datasets import Split
from fastvae.train.evaluation import likelihood
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models import build, objectives
from fastvae.train.models.conditional import Baseline, FirstGuess
from fastvae.train.models.objectives import Conditional
from fastvae.train.pictures import run as drawing
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve
from tests.train.small_runs import config

SIZE = (8, 8)
HISTORY = [Epoch(1, 14.0, -12.0, 10.0, 2.0, 15.0, -13.0, 11.0, 2.0, 3.21)]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (7, 9)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_quadrants_are_given_clockwise_from_the_lower_left(size, count):
    height, width = size
    image = torch.arange(height * width, dtype=torch.uint8).reshape(1, 1, height, width)
    quadrants = conditions.Quadrants(size, count)
    condition, target = quadrants(image, torch.zeros(1))
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    top, left = slice(height // 2), slice(width // 2)
    order = ((bottom, left), (top, left), (top, right), (bottom, right))
    pixels = [image[0, 0, rows, columns].flatten() for rows, columns in order]
    torch.testing.assert_close(condition[0].sort().values, torch.cat(pixels[:count]).sort().values / 255)
    assert torch.equal(target[0, 0].sort().values, torch.cat(pixels[count:]).sort().values)
    assert target.dtype == torch.uint8
    torch.testing.assert_close(quadrants.whole(condition, target / 255), image / 255)


def test_reconstructions_are_of_the_posterior_mean(digits, monkeypatch):
    drawn = {}
    monkeypatch.setattr(figures, "reconstructions", lambda *arrays: drawn.update(zip("or", arrays, strict=False)))
    chosen = config(condition="quadrants", quadrants=3)
    found = build.create(chosen).eval()
    with torch.no_grad():
        names = [name for name, draw in drawing.of_conditional(chosen, found, digits.test, HISTORY) if draw() or True]
        first = digits.test.images[digits.test.labels == 0][:1]
        x, y = build.conditioning(chosen)(first, first)
        decoded = build.conditioning(chosen).whole(x, found.decode(found.encode(y, x).mean, x, mean=True))
    assert names == ["completions", "reconstructions", "latent", "losses"]
    np.testing.assert_allclose(drawn["o"][0], first[0, 0] / 255, rtol=1e-6)
    np.testing.assert_allclose(drawn["r"][0], decoded[0, 0], rtol=1e-6)


def test_s2_is_the_published_network():
    found = build.create(Config(**resolve({"threads": 1, "device": "cpu", "data_dir": "x", "preset": "s2"})))
    assert isinstance(found, CVAE)
    recognition, generation = (
        [
            type(layer).__name__ + (f" {layer.out_features}" if hasattr(layer, "out_features") else "")
            for layer in network
        ]
        for network in (found.recognition.network, found.generation.network)
    )
    hidden = ["ReLU", "Dropout"]
    assert recognition == ["Linear 512", *hidden, "Linear 256", *hidden, "Linear 64", "ReLU", "Linear 4"]
    dense = ["Linear 64", *hidden, "Linear 256", *hidden, "Linear 512", "ReLU", "Linear 784"]
    assert generation == [*dense, "Unflatten", "Sigmoid", "Hardtanh"]
    assert (found.recognition.network[0].in_features, found.generation.network[0].in_features) == (785, 3)
    assert {layer.p for layer in found.modules() if isinstance(layer, torch.nn.Dropout)} == {0.2}
    posterior = found.encode(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, 1))
    torch.testing.assert_close(posterior.std, T.softplus(posterior.scale) + 1e-8)


def test_probabilities_keep_off_0_and_1():
    found = build.create(config(condition="label", likelihood="bernoulli_probs", probability_floor=0.1))
    assert isinstance(found, CVAE)
    with torch.no_grad():
        found.generation.network[-4].bias[:32] = 50.0
        found.generation.network[-4].bias[32:] = -50.0
        means = found.decode(torch.zeros(1, 2), torch.zeros(1, 10)).flatten()
    torch.testing.assert_close(means, torch.tensor([0.9] * 32 + [0.1] * 32))


def test_the_losses_are_those_of_the_model_on_what_is_given(digits):
    """The objective adds nothing of its own: images and labels only become a condition and a target."""
    chosen = config(condition="quadrants", quadrants=2, prior="learned")
    found = build.create(chosen)
    objective = objectives.create(chosen, found)
    assert isinstance(objective, Conditional)
    images, labels = digits.test.images[:6], digits.test.labels[:6]
    torch.manual_seed(1)
    loss = objective(images, labels)
    torch.manual_seed(1)
    expected = found(*build.conditioning(chosen)(images, labels))
    assert torch.equal(loss.loss, expected.loss)
    assert torch.equal(loss.kl, expected.kl)


def test_a_baseline_is_the_cross_entropy_of_its_prediction(digits):
    chosen = config(condition="quadrants", objective="baseline")
    found = build.create(chosen)
    assert isinstance(found, Baseline)
    x, y = build.conditioning(chosen)(digits.test.images[:5], digits.test.labels[:5])
    output = found(x, y)
    expected = T.binary_cross_entropy(found.predict(x), y / 255, reduction="none").sum((1, 2))
    torch.testing.assert_close(output.reconstruction_loss, expected)
    torch.testing.assert_close(found.log_prob(x, y), -expected)
    torch.testing.assert_close(output.loss, expected.mean())
    assert output.kl.abs().max() == 0


@pytest.fixture(scope="module")
def baseline(tmp_path_factory, digits):
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "baseline")
    folder.path.mkdir()
    chosen = config(condition="quadrants", objective="baseline")
    trainer = Trainer(chosen, digits, folder)
    folder.write_config(chosen)
    trainer.fit()
    return trainer


def test_the_prior_sees_the_first_guess_of_a_trained_baseline(baseline, digits, tmp_path):
    chosen = config(condition="quadrants", prior="learned", first_guess=str(baseline.folder.path), lr=1e-2)
    (tmp_path / "run").mkdir()
    trainer = Trainer(chosen, digits, RunFolder(tmp_path / "run"))
    found = trainer.model
    assert isinstance(found, CVAE)
    assert isinstance(found.prior, FirstGuess)
    x, _ = build.conditioning(chosen)(digits.test.images[:5], digits.test.labels[:5])
    guess = baseline.model.predict(x)
    moments = found.prior.network(torch.cat((x, guess.flatten(1)), 1))
    torch.testing.assert_close(found.encode_prior(x).mu, moments[:, :2])
    assert not any(parameter.requires_grad for parameter in found.prior.baseline.parameters())
    assert found.train().prior.network.training
    assert not any(module.training for module in found.prior.baseline.modules())
    before = [parameter.clone() for parameter in found.prior.baseline.parameters()]
    trainer.fit()
    assert all(torch.equal(*pair) for pair in zip(before, found.prior.baseline.parameters(), strict=True))
    assert trainer.history[1].train_loss < trainer.history[0].train_loss
    # Its folder is needed once: the weights go with the run's own.
    again = Trainer(chosen.model_copy(update={"first_guess": "/nowhere"}), digits, RunFolder(tmp_path / "run"))
    torch.testing.assert_close(again.model.state_dict(), found.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"quadrants": 2}, "has quadrants 1; takes a run with 2"), ({"hidden": (17,)}, "does not fit the model")],
)
def test_a_first_guess_of_another_run(baseline, digits, tmp_path, changes, message):
    given = {"condition": "quadrants", "prior": "learned", "first_guess": str(baseline.folder.path), **changes}
    with pytest.raises(Exception, match=message):
        Trainer(config(**given), digits, RunFolder(tmp_path))


def exact_log_likelihood(cvae, condition, target):
    """log of the integral over the two latents, by the trapezoidal rule on a grid of 8 standard deviations."""
    axis = torch.linspace(-8, 8, 161, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    prior = cvae.encode_prior(condition)
    z = prior.mean + prior.std * grid
    logits = cvae.generation(z, condition.expand(len(z), -1))
    log_p = -T.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none").sum((1, 2))
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(grid).sum(1)
    return torch.logsumexp(log_p + log_prior, 0) + 2 * (axis[1] - axis[0]).log()


@pytest.mark.parametrize("objective", ["cvae", "hybrid", "gsnn"])
def test_estimates_are_the_integral_over_the_latent(digits, objective):
    chosen = config(condition="quadrants", prior="learned", objective=objective)
    found = build.create(chosen).double()
    assert isinstance(found, CVAE)
    with torch.no_grad():
        found.generation.network[-2].weight *= 4  # latents that matter
    split = Split(digits.test.images[:4], digits.test.labels[:4])
    x, y = build.conditioning(chosen)(*split)
    with torch.no_grad():
        exact = torch.stack([exact_log_likelihood(found, x[[i]].double(), y[[i]] / 255.0) for i in range(4)])

    estimates = {}
    for method in ("importance", "monte_carlo"):
        values = found.log_likelihood(
            x.double(), y / 255.0, num_samples=20_000, chunk_size=5_000, method=method, seed=1
        )
        estimates[method] = values
        torch.testing.assert_close(values, exact, atol=0.1, rtol=0)
    if objective == "gsnn":
        assert torch.equal(*estimates.values())


def test_estimates_of_a_run(digits):
    chosen = config(condition="quadrants", prior="learned")
    found = build.create(chosen)
    split = Split(digits.test.images[:40], digits.test.labels[:40])
    result = likelihood.estimates(found, chosen, split, 30)
    x, y = build.conditioning(chosen)(*split)
    for name, method in (("log_likelihood", "importance"), ("log_likelihood_monte_carlo", "monte_carlo")):
        generator = torch.Generator().manual_seed(0)
        values = found.log_likelihood(x, y, num_samples=30, chunk_size=100, method=method, generator=generator)
        assert result[name] == pytest.approx(values.mean().item())
        assert result[f"{name}_standard_error"] == pytest.approx(values.std(correction=0).item() / 40**0.5)
    gsnn = config(condition="quadrants", prior="learned", objective="gsnn")
    assert "log_likelihood" not in likelihood.estimates(build.create(gsnn), gsnn, split, 5)


def test_prediction_errors_are_those_of_the_means(digits):
    chosen = config(condition="label")
    found = build.create(chosen)
    assert isinstance(found, CVAE)
    split = Split(digits.test.images[:40], digits.test.labels[:40])
    x, y = build.conditioning(chosen)(*split)
    result = likelihood.prediction_errors(found, chosen, split, 20)
    expected = (found.predict(x) - y / 255).square().sum((1, 2, 3)).mean().item()
    assert result["prediction_error"] == pytest.approx(expected, rel=1e-5)
    averaged = found.predict(x, 20, generator=torch.Generator().manual_seed(0))
    expected = (averaged - y / 255).square().sum((1, 2, 3)).mean().item()
    assert result["prediction_error_averaged"] == pytest.approx(expected, rel=1e-5)
