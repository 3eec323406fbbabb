"""The simulated cells, the measure of their separation and both ways to train on them."""

import json

import pytest
import torch
from click.testing import CliRunner

from bench.reproductions.counts import __main__ as command
from bench.reproductions.counts import models, separation
from bench.reproductions.counts.simulation import TYPES, simulate


@pytest.fixture(scope="module")
def cells():
    return simulate(2000, 300, seed=1)


class TestSimulation:
    def test_a_seed_makes_the_same_cells(self):
        first, again, other = (simulate(100, 50, seed=seed).counts for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_counts_are_counts_of_cells_of_every_type(self, cells):
        assert torch.equal(cells.counts, cells.counts.round().clamp(0))
        assert cells.types.unique().tolist() == list(range(TYPES))
        assert cells.counts.sum(1).min() > 0

    def test_a_cell_reads_its_library(self, cells):
        library = cells.means.sum(1)
        assert float(library.log().mean().exp()) == pytest.approx(1500, rel=0.03)
        assert float(library.log().std()) == pytest.approx(0.4, rel=0.06)

    def test_counts_vary_as_a_negative_binomial_of_which_some_are_lost(self, cells):
        """Mean (1 - d) m, and second moment (1 - d) (m + m^2 (1 + 1/theta)), of frequent genes over all cells."""
        kept = 1 - cells.dropout
        frequent = cells.means.mean(0) > 2
        mean = (kept * cells.means).mean(0)
        second = (kept * (cells.means + cells.means**2 * (1 + 1 / cells.inverse_dispersion))).mean(0)
        for found, expected, tolerance in ((cells.counts, mean, 0.02), (cells.counts**2, second, 0.1)):
            ratio = (found.mean(0) / expected)[frequent]
            assert float(ratio.mean()) == pytest.approx(1, abs=tolerance)

    def test_a_gene_of_high_counts_is_0_as_often_as_it_is_lost(self, cells):
        # The negative binomial's own zeros, (theta / (theta + m))^theta, are counted too.
        theta = cells.inverse_dispersion
        own = (theta / (theta + cells.means)) ** theta
        expected = (cells.dropout + (1 - cells.dropout) * own).mean(0)
        found = (cells.counts == 0).float().mean(0)
        torch.testing.assert_close(found, expected, atol=0.06, rtol=0)
        assert float((found - expected).mean()) == pytest.approx(0, abs=0.005)

    def test_types_of_a_family_are_nearer_than_others(self, cells):
        shares = torch.stack([cells.means[cells.types == one][0] for one in range(TYPES)])
        shares = (shares / shares.sum(1, keepdim=True)).log()
        distances = torch.cdist(shares, shares).fill_diagonal_(torch.inf)
        assert distances.argmin(1).tolist() == [1, 0, 3, 2, 5, 4, 7, 6]


class TestSeparation:
    def test_far_apart_all_neighbours_are_of_the_type(self):
        types = torch.arange(4).repeat_interleave(20)
        points = 100.0 * types[:, None] + torch.rand((80, 3), generator=torch.Generator().manual_seed(0))
        assert separation.neighbours_of_own_type(points, types) == 1

    def test_without_order_as_many_as_there_are(self):
        generator = torch.Generator().manual_seed(0)
        types = torch.arange(2000) % 4
        found = separation.neighbours_of_own_type(torch.randn((2000, 3), generator=generator), types)
        assert found == pytest.approx(0.25, abs=0.02)

    def test_a_point_is_not_its_own_neighbour(self):
        types = torch.tensor([0, 1])
        assert separation.neighbours_of_own_type(torch.zeros(2, 2), types, neighbours=1) == 0

    def test_components_are_those_of_most_variance(self):
        generator = torch.Generator().manual_seed(0)
        points = torch.randn((500, 4), generator=generator) * torch.tensor([1.0, 9.0, 0.1, 3.0])
        variances = separation.components(points, 2).var(0)
        torch.testing.assert_close(variances, torch.tensor([81.0, 9.0]), rtol=0.15, atol=0)


class TestObjectives:
    @pytest.mark.parametrize("likelihood", ["nb", "zinb"])
    def test_plain_pytorch_has_the_same_loss_and_gradients(self, likelihood, cells, monkeypatch):
        torch.manual_seed(0)
        model = models.model_of(likelihood, 300).eval()
        counts = cells.counts[:40]
        eps = torch.randn(len(counts), models.LATENT)
        wanted = model(models.log_library(counts), counts, eps=eps)
        monkeypatch.setattr(torch, "randn_like", lambda like: eps)
        found = models.plain(model)(counts)
        torch.testing.assert_close(found.loss, wanted.loss, rtol=2e-6, atol=1e-4)
        torch.testing.assert_close(found.kl, wanted.kl.mean(), rtol=2e-6, atol=1e-4)
        parameters = list(model.parameters())
        ours, theirs = (torch.autograd.grad(each.loss, parameters) for each in (wanted, found))
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(other, mine, rtol=1e-3, atol=1e-5 * float(mine.abs().max()))

    @pytest.mark.parametrize("likelihood", models.LIKELIHOODS)
    def test_means_add_up_to_the_library(self, likelihood, cells):
        torch.manual_seed(0)
        model = models.model_of(likelihood, 300)
        library = models.log_library(cells.counts[:5])
        prediction = model.generation(torch.randn(5, models.LATENT), library)
        log_mean = prediction[0] if likelihood == "zinb" else prediction
        torch.testing.assert_close(log_mean.exp().sum(1), cells.counts[:5].sum(1))


def run(out, *options):
    arguments = ["--cells", "250", "--genes", "60", "--epochs", "2", "--num-samples", "5", "--out", str(out), *options]
    return CliRunner().invoke(command.main, arguments, catch_exceptions=False)


@pytest.mark.parametrize("options", [("poisson",), ("nb",), ("zinb",), ("zinb", "--plain")])
def test_a_tiny_run_leaves_its_figures(tmp_path, options):
    result = run(tmp_path, "--likelihood", *options)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert (found["likelihood"], found["plain"], found["steps"]) == (options[0], "--plain" in options, 4)
    assert found["losses"][1] < found["losses"][0]
    assert found["elbo"] < found["log_likelihood"] < 0
    assert (tmp_path / "latent.png").stat().st_size > 1000


def test_what_is_not_written_in_plain_pytorch_is_refused(tmp_path):
    result = run(tmp_path, "--likelihood", "poisson", "--plain")
    assert result.exit_code == 2
    assert "--plain: got it with --likelihood poisson; takes nb or zinb" in result.output
