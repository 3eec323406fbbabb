"""A learned scale begins at that of the best decoder without a latent."""

import math

import pytest
import torch

from fastvae.networks import fractions
from fastvae.train.data.datasets import Split
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models import build, start
from fastvae.train.runs.folder import RunFolder
from tests.train.small_runs import config


def scale(found):
    (value,) = (p for name, p in found.named_parameters() if name.endswith("log_scale"))
    return value.detach().flatten()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"condition": "label"},
        {"condition": "quadrants", "quadrants": 3},
        {"condition": "quadrants", "objective": "baseline"},
    ],
)
def test_the_scale_is_the_deviation_of_the_targets(digits, changes):
    chosen = config(likelihood="gaussian_learned", **changes)
    found = build.create(chosen)
    assert scale(found).tolist() == [0.0]
    start.begin(found, chosen, digits.train)
    target = digits.train.images
    if chosen.condition == "quadrants":
        target = build.conditioning(chosen)(*digits.train).target
    pixels = fractions(target).flatten(1).double()
    # The maximum of the likelihood over the scale, at the mean of each pixel.
    wanted = (pixels - pixels.mean(0)).square().mean().sqrt().item()
    assert scale(found).exp().tolist() == [pytest.approx(wanted, rel=1e-6)]
    assert not scale(found).isnan()


@pytest.mark.parametrize("changes", [{}, {"condition": "quadrants"}])
def test_a_laplace_scale_is_the_deviation_about_the_medians(digits, changes):
    chosen = config(likelihood="laplace_learned", **changes)
    found = build.create(chosen)
    start.begin(found, chosen, digits.train)
    target = digits.train.images if not changes else build.conditioning(chosen)(*digits.train).target
    pixels = fractions(target).flatten(1).double()
    # The maximum of the likelihood over the scale, at the median of each pixel.
    wanted = (pixels - pixels.quantile(0.5, 0)).abs().mean().item()
    assert scale(found).exp().tolist() == [pytest.approx(wanted, rel=1e-6)]


def test_a_learned_scale_without_a_start_is_refused(digits, monkeypatch):
    chosen = config(likelihood="laplace_learned")
    found = build.create(chosen)
    monkeypatch.delitem(start._DEVIATIONS, "l1_loss")
    with pytest.raises(ValueError, match="likelihood: got 'laplace_learned', for whose scale no start is known"):
        start.begin(found, chosen, digits.train)


def test_pixels_that_never_change_have_the_deviation_of_a_grey_level(digits):
    chosen = config(likelihood="gaussian_learned")
    found = build.create(chosen)
    start.begin(found, chosen, Split(digits.train.images[:1], digits.train.labels[:1]))
    assert scale(found).tolist() == [pytest.approx(-math.log(255))]


def test_a_run_that_goes_on_keeps_its_scale(digits, tmp_path):
    chosen = config(likelihood="gaussian_learned", lr=1e-2, epochs=2)
    folder = RunFolder(tmp_path)
    first = Trainer(chosen, digits, folder)
    begun = scale(first.model).clone()
    assert begun < -0.5
    first.fit()
    resumed = Trainer(chosen, digits, folder)
    assert torch.equal(scale(resumed.model), scale(first.model))
    assert not torch.equal(scale(resumed.model), begun)


def test_no_other_parameter_is_touched(digits):
    chosen = config(likelihood="bernoulli")
    found, untouched = build.create(chosen), build.create(chosen).state_dict()
    start.begin(found, chosen, digits.train)
    torch.testing.assert_close(found.state_dict(), untouched, rtol=0, atol=0)
