"""Training: it learns, it is a function of its config, and a killed run resumes to the same bits."""

import math
import os
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from safetensors.torch import load_file

from fastvae import networks
from fastvae.plots import panels
from fastvae.train.data import datasets
from fastvae.train.errors import UserError
from fastvae.train.evaluation import likelihood
from fastvae.train.evaluation.elbo import elbo as elbo_of
from fastvae.train.models import build
from fastvae.train.options import choices
from fastvae.train.pictures import run as drawing
from fastvae.train.runs import random, weights
from fastvae.train.runs.metrics import Sums
from fastvae.train.settings.kinds import OF_LEVELS
from tests.support.command_line import mnist
from tests.train.trainers import fitted, saved, trainer

pytestmark = pytest.mark.minutes(1)


def test_the_weights_are_as_readable_as_the_other_files(tmp_path, digits):
    before = os.umask(0o027)
    try:
        fitted(tmp_path / "run", digits, epochs=1)
    finally:
        os.umask(before)
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in (tmp_path / "run").iterdir()}
    assert modes["weights.safetensors"] == "0o640"
    assert len(set(modes.values())) == 1, modes


# Every likelihood, and every kind of networks: one output a pixel, and many.
LEARN = [("mlp", likelihood) for likelihood in choices("likelihood")]
LEARN += [
    (name, likelihood)
    for name in networks.ARCHITECTURES
    for likelihood in ("bernoulli", "discretized_logistic_mixture")
]


@pytest.mark.parametrize(("name", "likelihood"), dict.fromkeys(LEARN))
def test_learns(tmp_path, digits, name, likelihood):
    run = fitted(
        tmp_path / "run", digits, model=name, likelihood=likelihood, lr=1e-3 if likelihood in OF_LEVELS else 1e-2
    )
    first, *_, last = run.history
    assert last.train_elbo > first.train_elbo
    assert last.test_elbo > first.test_elbo


def test_untrained_digits_cost_what_uniform_pixels_do(digits, tmp_path):
    """At logits of zero every grey pixel costs log 2, whatever its value: the target is read as value / 255."""
    run = trainer(tmp_path / "run", digits, likelihood="bernoulli")
    for parameter in run.model.parameters():
        torch.nn.init.zeros_(parameter)
    means = elbo_of(run.objective, run.data.test, 0, run.log_normalizer)
    assert means.reconstruction == pytest.approx(64 * math.log(2), rel=1e-6)
    assert means.kl == 0
    assert means.elbo == -means.reconstruction


def test_reconstruction_includes_the_normalizer(digits, tmp_path):
    run = trainer(tmp_path / "run", digits, likelihood="gaussian")
    x = run.data.test.images
    output = run.model(x)
    density = torch.distributions.Normal(output.prediction, 1.0).log_prob(x.float() / 255).sum((1, 2, 3))
    sums = Sums(torch.device("cpu"), run.log_normalizer)
    sums.add(output.loss.detach(), output.reconstruction_loss, output.kl)
    assert sums.means().reconstruction == pytest.approx(-density.mean().item(), rel=1e-5)


def test_same_config_same_bits(tmp_path, digits):
    fitted(tmp_path / "a", digits)
    torch.manual_seed(99)
    fitted(tmp_path / "b", digits)
    assert saved(tmp_path / "a") == saved(tmp_path / "b")
    fitted(tmp_path / "c", digits, seed=1)
    assert saved(tmp_path / "a") != saved(tmp_path / "c")


def test_data_order_depends_on_seed_and_epoch_alone():
    order = random.epoch_order(3, 5, 1000)
    torch.rand(1)
    assert torch.equal(random.epoch_order(3, 5, 1000), order)
    assert torch.equal(order.sort().values, torch.arange(1000))
    for other in (random.epoch_order(3, 6, 1000), random.epoch_order(4, 5, 1000), random.epoch_order(5, 3, 1000)):
        assert not torch.equal(other, order)


def test_separate_noise_leaves_no_trace():
    torch.manual_seed(1)
    with random.separate(7, torch.device("cpu")):
        inside = torch.rand(3)
    outside = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), outside)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), inside)


def test_bf16_trains_in_float32_weights(tmp_path, digits):
    run = fitted(tmp_path / "bf16", digits, amp="bf16", lr=1e-2)
    assert run.history[-1].train_elbo > run.history[0].train_elbo
    tensors = load_file(tmp_path / "bf16" / "weights.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    fitted(tmp_path / "float32", digits, lr=1e-2)
    assert saved(tmp_path / "bf16") != saved(tmp_path / "float32")


@pytest.mark.slow
# Raised inside torch by its own compiler.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("options", [{"accumulate": 3, "clip_grad": 20.0, "ema": 0.5, "amp": "bf16"}])
def test_compiled_training_matches_eager(tmp_path, digits, options):
    compiled = fitted(tmp_path / "compiled", digits, compile=True, epochs=2, **options)
    eager = fitted(tmp_path / "eager", digits, epochs=2, **options)
    # The same noise and order; a step of Adam may turn rounding into a change of up to its learning rate.
    assert compiled.history[-1].test_elbo == pytest.approx(eager.history[-1].test_elbo, rel=1e-3)
    fitted(tmp_path / "resumed", digits, compile=True, epochs=1, **options)
    torch.manual_seed(99)
    fitted(tmp_path / "resumed", digits, compile=True, epochs=2, **options)
    assert saved(tmp_path / "resumed") == saved(tmp_path / "compiled")


def test_divergence_is_said_and_not_saved(tmp_path, digits):
    run = trainer(tmp_path / "run", digits, likelihood="squared_error")
    next(run.model.parameters()).data.fill_(math.inf)
    with pytest.raises(UserError, match="training diverged: the loss of epoch 1 is nan; try a smaller --lr"):
        run.fit()
    assert not list((tmp_path / "run").iterdir())


def test_log_likelihood_is_above_the_elbo_and_repeatable(tmp_path, digits):
    run = fitted(tmp_path / "run", digits, likelihood="gaussian_learned", lr=1e-2)
    elbo = elbo_of(run.objective, run.data.test, 0, run.log_normalizer)
    found = likelihood.estimates(run.model, run.config, run.data.test, 64)
    assert found["log_likelihood"] > elbo.elbo
    # The gap is KL(q(z|x) || p(z|x)), small for a posterior of two dimensions: a wrong normalizer would show.
    assert found["log_likelihood"] < elbo.elbo + 10
    again = likelihood.estimates(run.model, run.config, run.data.test, 64)
    assert again == found | {"log_likelihood_seconds": again["log_likelihood_seconds"]}


def test_one_importance_sample_estimates_the_elbo(tmp_path, digits):
    run = fitted(tmp_path / "run", digits)
    elbo = elbo_of(run.objective, run.data.test, 0, run.log_normalizer)
    found = likelihood.estimates(run.model, run.config, run.data.test, 1)
    # Two single-sample estimates over 297 images: four standard errors of either are allowed.
    assert found["log_likelihood"] == pytest.approx(elbo.elbo, abs=4 * found["log_likelihood_standard_error"])


def test_weights_file_restores_the_model(tmp_path, digits):
    run = fitted(tmp_path / "run", digits)
    restored = build.create(run.config)
    weights.load(restored, run.folder)
    x = run.data.test.images
    run.trained.eval()
    torch.testing.assert_close(restored.eval().reconstruct(x), run.trained.reconstruct(x), rtol=0, atol=0)


def test_conv_on_mnist_shapes(tmp_path):
    loaded = datasets.load("mnist", str(mnist(tmp_path / "data")))
    run = fitted(tmp_path / "run", loaded, data="mnist", data_dir="somewhere", model="conv", epochs=1)
    assert math.isfinite(run.history[-1].test_elbo)


def test_weights_of_every_epoch_are_kept_where_asked(tmp_path, digits):
    run = fitted(tmp_path / "run", digits, keep_weights=True, validation=0.0)
    folder = run.folder
    kept = [folder.epoch_weights_file(epoch).read_bytes() for epoch in (1, 2, 3)]
    assert len(set(kept)) == 3
    assert kept[-1] == saved(tmp_path / "run")
    fitted(tmp_path / "one", digits, epochs=1, validation=0.0)
    assert kept[0] == saved(tmp_path / "one")
    assert not (tmp_path / "one" / "weights").exists()
    restored = build.create(run.config)
    weights.load(restored, folder, 1)
    with pytest.raises(UserError, match="kept no weights of epoch 4"):
        weights.load(restored, folder, 4)


def test_kept_weights_become_an_animation_of_the_same_latents(tmp_path, digits):
    run = fitted(tmp_path / "run", digits, keep_weights=True, lr=1e-2)
    assert "samples.gif" in drawing.draw(run.folder, run.config, run.model, run.data.test, run.history)
    with Image.open(tmp_path / "run" / "samples.gif") as film:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(film)]
    assert len(frames) == 3
    assert not any(np.array_equal(one, other) for one, other in pairwise(frames))
    still = panels.smoothed(run.model.sample(16, seed=run.config.seed)[0, 0].numpy(), 0)
    # A GIF has 256 greys, and three pixels for one.
    height, width = (3 * side for side in still.shape)
    np.testing.assert_allclose(frames[-1][:height:3, :width:3] / 255, still, atol=2 / 255)
    again = fitted(tmp_path / "again", digits)
    assert "samples.gif" not in drawing.draw(again.folder, again.config, again.model, again.data.test, again.history)


@pytest.mark.parametrize("estimator", ["analytic", "monte_carlo"])
def test_the_elbo_is_the_same_by_either_estimate_of_the_kl(tmp_path, digits, estimator):
    run = fitted(tmp_path / "run", digits, kl_estimator=estimator)
    exact = fitted(tmp_path / "exact", digits)
    run.model.load_state_dict(exact.model.state_dict())
    found, expected = (elbo_of(one.objective, one.data.test, 0, one.log_normalizer) for one in (run, exact))
    assert found.reconstruction == expected.reconstruction
    assert found.kl == pytest.approx(expected.kl, abs=0 if estimator == "analytic" else 0.2)
    assert (found.kl == expected.kl) == (estimator == "analytic")
