"""Active units and collapsed dimensions: known moments, thresholds, and agreement with the KL of the ELBO."""

import json

import pytest
import torch
from torch import Tensor, nn

from fastvae import VAE, DiagonalGaussian
from fastvae.train.data import datasets
from fastvae.train.evaluation import latent_use
from fastvae.train.evaluation.latent_use import LatentUse, measure
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve
from tests.support.command_line import TINY, TINY_NETWORK, fastvae


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batches(mu: Tensor, logvar: Tensor, *sizes: int):
    parts = zip(mu.split(sizes), logvar.split(sizes), strict=True)
    return ((DiagonalGaussian(mean, scale), None) for mean, scale in parts)


@pytest.mark.parametrize("sizes", [(72,), (1, 7, 64), (64, 7, 1), (1,) * 72])
def test_known_moments_whatever_the_batches(sizes):
    mu, logvar = normal(72, 4), normal(72, 4, seed=1)
    use = measure(batches(mu, logvar, *sizes))
    torch.testing.assert_close(torch.tensor(use.mean_variance_per_dimension).double(), mu.var(0, correction=0))
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(0)
    torch.testing.assert_close(torch.tensor(use.kl_per_dimension).double(), kl)


def test_a_mean_far_from_zero_costs_no_digits():
    mu = normal(90, 3)
    near, far = (measure(batches(mu + shift, torch.zeros_like(mu), 30, 60)) for shift in (0, 2.0**27))
    # The shifted means themselves are rounded, at 2^-26.
    assert far.mean_variance_per_dimension == pytest.approx(near.mean_variance_per_dimension, rel=1e-6)


def test_one_dimension_collapsed_exactly():
    mu, logvar = normal(50, 3), normal(50, 3, seed=1)
    mu[:, 1], logvar[:, 1] = 0.0, 0.0
    use = measure(batches(mu.float(), logvar.float(), 20, 30))
    assert use.kl_per_dimension[1] == use.mean_variance_per_dimension[1] == 0.0
    assert (use.active_units, use.collapsed, use.collapsed_share) == (2, [1], 0.0)


def test_a_line_names_a_few_dimensions_not_thousands():
    few, many = ([0.0] * count + [1.0] for count in (3, 4095))
    assert "3 collapsed (dimensions 0, 1, 2, with 0 % of the KL)" in str(LatentUse(few, few))
    assert "1 of 4096 units active; 4095 collapsed (with 0 % of the KL)" in str(LatentUse(many, many))


class Encoder(nn.Module):
    """Means from the first pixels times `gain`, plus `offset`; standard deviation one."""

    def __init__(self, gain: float, offset: float) -> None:
        super().__init__()
        self.gain, self.offset = gain, offset

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = self.gain * x[:, :3] + self.offset
        return mu, torch.zeros_like(mu)


def found_in(encoder: nn.Module, images: Tensor) -> LatentUse:
    test = datasets.Split(images, torch.zeros(len(images), dtype=torch.int64))
    config = Config(**resolve({"device": "cpu"}))
    use = latent_use.measured(VAE(encoder, nn.Linear(3, 5)), config, test)
    assert use is not None
    return use


def test_encoder_ignoring_its_input_has_no_active_units():
    images = normal(1100, 5).float()
    use = found_in(Encoder(0.0, 1.0), images)
    assert use.active_units == 0
    # It differs from the prior nevertheless, by half a squared mean of one.
    assert use.kl_per_dimension == [0.5, 0.5, 0.5]
    assert use.collapsed == []


@pytest.mark.parametrize("gain", [0.5, 1.0])
def test_encoder_of_known_gain(gain):
    images = normal(1100, 5).float()
    use = found_in(Encoder(gain, 0.0), images)
    means = gain * images[:, :3].double()
    assert use.mean_variance_per_dimension == pytest.approx(means.var(0, correction=0).tolist(), rel=1e-6)
    assert use.kl_per_dimension == pytest.approx((means.square() / 2).mean(0).tolist(), rel=1e-6)


@pytest.mark.parametrize(("spread", "active"), [(0.1001, 1), (0.0999, 0)])
def test_threshold_of_active_units(spread, active):
    mu = torch.tensor([[-spread], [spread]], dtype=torch.float64)
    assert measure(batches(mu, torch.zeros_like(mu), 2)).active_units == active


@pytest.mark.parametrize(("mean", "collapsed"), [(0.1415, []), (0.1413, [0])])
def test_threshold_of_collapse(mean, collapsed):
    mu = torch.full((2, 1), mean, dtype=torch.float64)
    assert measure(batches(mu, torch.zeros_like(mu), 2)).collapsed == collapsed


def test_learned_prior():
    posterior, prior = (DiagonalGaussian(normal(40, 3, seed=i), normal(40, 3, seed=i + 2)) for i in range(2))
    use = measure([(posterior, prior)])
    normals = (torch.distributions.Normal(one.mean, one.std) for one in (posterior, prior))
    expected = torch.distributions.kl_divergence(*normals).mean(0)
    assert use.kl_per_dimension == pytest.approx(expected.tolist())
    assert use.mean_variance_per_dimension == pytest.approx(posterior.mean.var(0, correction=0).tolist())


def test_posterior_equal_to_a_learned_prior_is_collapsed_and_may_be_active():
    gaussian = DiagonalGaussian(normal(40, 3), normal(40, 3, seed=1))
    use = measure([(gaussian, gaussian)])
    assert (use.active_units, use.collapsed, use.collapsed_share) == (3, [0, 1, 2], 1.0)


def test_spatial_latents_are_counted_by_channel():
    mu, logvar = normal(30, 2, 3, 4), normal(30, 2, 3, 4, seed=1)
    use = measure(batches(mu, logvar, 10, 20))
    assert use.mean_variance_per_dimension == pytest.approx(mu.var(0, correction=0).mean((1, 2)).tolist())
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)
    assert use.kl_per_dimension == pytest.approx(kl.mean(0).sum((1, 2)).tolist())
    assert use.positions == 12
    assert str(use).startswith("2 of 2 channels active; none collapsed; KL per channel ")


@pytest.mark.parametrize(("mean", "collapsed"), [(0.1415, []), (0.1413, [0])])
def test_a_channel_has_collapsed_below_the_threshold_at_a_position(mean, collapsed):
    mu = torch.full((2, 1, 3, 4), mean, dtype=torch.float64)
    assert measure(batches(mu, torch.zeros_like(mu), 2)).collapsed == collapsed


def test_no_batches():
    with pytest.raises(ValueError, match="batches: got none"):
        measure([])


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (
            LatentUse([1.5, 0.005, 3.2, 0.004], [0.9, 0.0, 0.5, 0.011]),
            "3 of 4 units active; 2 collapsed (dimensions 1, 3, with 0.19 % of the KL); KL per dimension 0.00 to 3.20 "
            "nats",
        ),
        (
            LatentUse([0.0, 0.3], [0.0, 0.2]),
            "1 of 2 units active; 1 collapsed (dimension 0, with 0 % of the KL); KL per dimension 0.00 to 0.30 nats",
        ),
        (
            LatentUse([0.0, 0.001], [0.0, 0.0]),
            "0 of 2 units active; 2 collapsed (dimensions 0, 1, with 100 % of the KL); KL per dimension 0.00 to 0.00 "
            "nats",
        ),
        (LatentUse([2.0], [0.7]), "1 of 1 unit active; none collapsed; KL per dimension 2.00 to 2.00 nats"),
    ],
)
def test_what_is_printed(use, text):
    assert str(use) == text


def test_no_kl_at_all_is_all_collapsed():
    use = LatentUse([0.0, 0.0], [0.0, 0.0])
    assert (use.collapsed, use.collapsed_share) == ([0, 1], 1.0)


@pytest.mark.parametrize("estimator", ["analytic", "monte_carlo"])
def test_evaluate_reports_it(tmp_path, estimator):
    run = tmp_path / "run"
    options = ("--epochs", 2, "--lr", 0.01, "--latent-dim", 5, "--kl-estimator", estimator)
    assert fastvae("train", *TINY, *options, "--out", run).code == 0
    result = fastvae("evaluate", run)
    assert result.code == 0, result
    found = json.loads((run / "evaluation.json").read_text())
    assert found["latent_dim"] == len(found["kl_per_dimension"]) == len(found["mean_variance_per_dimension"]) == 5
    use = LatentUse(found["kl_per_dimension"], found["mean_variance_per_dimension"])
    assert f"latent: {use}" in result.out.splitlines()
    assert (found["active_units"], found["collapsed"]) == (use.active_units, use.collapsed)
    # The estimate at a sample differs from the sum over dimensions; the closed form is it.
    off = abs(sum(found["kl_per_dimension"]) / found["kl"] - 1)
    assert (off < 1e-6) == (estimator == "analytic")


@pytest.mark.parametrize("prior", ["standard", "learned"])
@pytest.mark.parametrize("condition", ["label", "quadrants"])
def test_conditional_models_are_measured_against_their_prior(tmp_path, prior, condition):
    run = tmp_path / "run"
    options = ("--epochs", 1, "--lr", 0.01, "--condition", condition, "--prior", prior)
    assert fastvae("train", *TINY, *options, "--out", run).code == 0
    assert fastvae("evaluate", run).code == 0
    found = json.loads((run / "evaluation.json").read_text())
    assert sum(found["kl_per_dimension"]) == pytest.approx(found["kl"], rel=1e-6)


@pytest.mark.parametrize("objective", ["gsnn", "baseline"])
def test_models_without_a_trained_posterior_have_no_report(tmp_path, objective):
    run = tmp_path / "run"
    options = ("--epochs", 1, "--condition", "quadrants", "--objective", objective)
    assert fastvae("train", *(TINY_NETWORK if objective == "baseline" else TINY), *options, "--out", run).code == 0
    assert "latent:" not in fastvae("evaluate", run).out
    assert "active_units" not in json.loads((run / "evaluation.json").read_text())
