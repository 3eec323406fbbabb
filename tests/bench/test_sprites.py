"""The sprites, the mutual information gap and both ways to train on them."""

import json
import math

import pytest
import torch
from click.testing import CliRunner

from bench.reproductions.sprites import __main__ as command
from bench.reproductions.sprites import drawing, information, models
from fastvae import DiagonalGaussian

# shape, scale, rotation, x, y: large, little turned, near the middle.
MIDDLE = {"shape": 2, "scale": 3, "rotation": 4, "x": 5, "y": 5}


def image(**changes):
    return drawing.draw(torch.tensor([list((MIDDLE | changes).values())]))[0, 0].double()


def centre(image):
    """The centre of gravity, (x, y) in pixels."""
    along = torch.arange(32.0, dtype=torch.float64)
    return torch.stack(((image.sum(0) * along).sum(), (image.sum(1) * along).sum())) / image.sum()


def tilt(image):
    """The angle of the longest axis to the vertical, clockwise."""
    x, y = (torch.arange(32.0, dtype=torch.float64) - at for at in centre(image))
    xx, yy, xy = (image * x**2).sum(), (image * y[:, None] ** 2).sum(), (image * x * y[:, None]).sum()
    return 0.5 * math.atan2(-2 * xy, yy - xx)


class TestGrid:
    def test_every_combination_is_there_once(self):
        grid = drawing.grid()
        assert grid.shape == (3 * 4 * 10 * 10 * 10, 5)
        assert len(grid.unique(dim=0)) == len(grid)
        assert [int(column.max()) + 1 for column in grid.T] == [len(factor.values) for factor in drawing.FACTORS]

    def test_no_two_combinations_look_the_same(self):
        """At one position, where symmetry would show."""
        grid = drawing.grid()
        here = grid[(grid[:, 3] == 5) & (grid[:, 4] == 5)]
        images = drawing.draw(here).flatten(1)
        distances = torch.cdist(images, images, p=1)
        # Pixels' worth of difference.
        assert distances.fill_diagonal_(torch.inf).min() > 2

    def test_nothing_is_cut_off(self):
        grid = drawing.grid()
        outermost = [((grid[:, at] == 0) | (grid[:, at] == 9)) for at in (3, 4)]
        images = drawing.draw(grid[outermost[0] & outermost[1] & (grid[:, 1] == 3)])[:, 0]
        at_the_centre = {
            (shape, angle): image(shape=shape, rotation=angle).sum() for shape in range(3) for angle in range(10)
        }
        chosen = grid[outermost[0] & outermost[1] & (grid[:, 1] == 3)].tolist()
        for found, (shape, _, angle, _, _) in zip(images, chosen, strict=True):
            assert float(found.sum()) == pytest.approx(float(at_the_centre[shape, angle]), rel=0.02)


class TestDrawing:
    def test_edges_are_antialiased_and_the_same_each_time(self):
        drawn = image()
        assert torch.equal(drawn, image())
        assert drawn.max() == 1
        assert ((drawn > 0) & (drawn < 1)).sum() > 20
        assert torch.equal(drawn * 16, (drawn * 16).round())

    @pytest.mark.parametrize("shape", range(3))
    @pytest.mark.parametrize(("name", "axis"), [("x", 0), ("y", 1)])
    def test_positions_move_the_centre_alone(self, shape, name, axis):
        before, after = (image(shape=shape, **{name: value}) for value in (3, 6))
        moved = centre(after) - centre(before)
        assert float(moved[axis]) == pytest.approx(3 * 14 / 9, abs=0.05)
        assert abs(float(moved[1 - axis])) < 0.05
        assert float(after.sum()) == pytest.approx(float(before.sum()), rel=0.02)

    @pytest.mark.parametrize("shape", range(3))
    def test_scale_grows_the_area_as_its_square(self, shape):
        areas = [float(image(shape=shape, scale=value).sum()) for value in range(4)]
        scales = drawing.FACTORS[1].values
        for area, scale in zip(areas, scales, strict=True):
            assert area / areas[-1] == pytest.approx(scale**2 / scales[-1] ** 2, rel=0.05)

    def test_rotation_turns_clockwise(self):
        for value, angle in enumerate(drawing.FACTORS[2].values):
            assert tilt(image(shape=0, rotation=value)) == pytest.approx(angle, abs=0.02)
        areas = [float(image(rotation=value).sum()) for value in range(10)]
        assert max(areas) / min(areas) < 1.03


def gaussian(means, std):
    return DiagonalGaussian(means, torch.full_like(means, 2 * math.log(std)))


class TestInformation:
    factors = torch.cartesian_prod(torch.arange(3), torch.arange(4), torch.arange(5), torch.arange(10))

    def test_a_code_that_is_the_factors_has_a_gap_of_1(self):
        codes = torch.cat((self.factors[:, [2, 0, 3, 1]].float(), torch.zeros(600, 2)), 1)
        known = information.mutual_information(gaussian(codes, 0.05), self.factors)
        torch.testing.assert_close(information.gaps(known, self.factors), torch.ones(4), atol=1e-4, rtol=0)
        torch.testing.assert_close(known.amax(0), torch.tensor([3.0, 4.0, 5.0, 10.0]).log(), atol=1e-4, rtol=0)

    def test_a_code_that_knows_nothing_has_a_gap_of_0(self):
        known = information.mutual_information(gaussian(torch.zeros(600, 3), 1.0), self.factors)
        torch.testing.assert_close(known, torch.zeros(3, 4), atol=1e-5, rtol=0)

    def test_a_factor_known_twice_has_a_gap_of_0(self):
        codes = self.factors[:, [0, 0, 1, 2, 3]].float()
        known = information.mutual_information(gaussian(codes, 0.05), self.factors)
        assert abs(float(information.gaps(known, self.factors)[0])) < 1e-4

    @pytest.mark.parametrize(("means", "stds"), [((-1.0, 1.0), (1.0, 1.0)), ((0.0, 0.0), (0.5, 3.0))])
    def test_two_values_that_overlap(self, means, stds):
        """I(z; v) of a balanced mixture of two Gaussians, by quadrature."""
        factors = torch.arange(2).repeat(1000)[:, None]
        codes, scales = (torch.tensor(values)[factors] for values in (means, stds))
        known = information.mutual_information(DiagonalGaussian(codes, 2 * scales.log()), factors, seed=3)
        z = torch.linspace(-30, 30, 100_001, dtype=torch.float64)
        parts = torch.stack(
            [torch.distributions.Normal(*moments).log_prob(z) for moments in zip(means, stds, strict=True)]
        )
        densities = parts.exp()
        expected = torch.trapezoid((0.5 * densities * (parts - densities.mean(0).log())).nan_to_num().sum(0), z)
        # The standard error of the sample is 0.01.
        assert float(known[0, 0]) == pytest.approx(float(expected), abs=0.04)

    def test_a_part_of_the_samples_is_enough(self):
        codes = self.factors.float()
        every, some = (
            information.mutual_information(gaussian(codes, 0.7), self.factors, num_samples=count)
            for count in (None, 300)
        )
        torch.testing.assert_close(some, every, atol=0.1, rtol=0)
        assert not torch.equal(some, every)


class TestTotalCorrelation:
    def test_of_independent_and_of_equal_dimensions(self):
        means = torch.randn((3000, 1), generator=torch.Generator().manual_seed(0))
        independent = torch.cat((means, torch.zeros_like(means)), 1)
        for codes, expected in ((independent, 0.0), (means.repeat(1, 2), -0.5 * math.log(1 - 0.8**2))):
            # Means of variance 1 and noise of 0.25: two dimensions correlated by 0.8 where they share the mean.
            posterior = gaussian(codes, 0.5)
            found = command.total_correlation(posterior, posterior.sample(seed=1))
            assert found == pytest.approx(expected, abs=0.03)


class TestObjectives:
    @pytest.mark.parametrize("kind", models.NAMES)
    def test_plain_pytorch_has_the_same_loss_and_gradients(self, kind, monkeypatch):
        torch.manual_seed(0)
        model = models.model_of(kind, 3.0, 12_000)
        images = drawing.draw(drawing.grid()[::400])
        eps = torch.randn(len(images), models.LATENT)
        wanted = model(images, eps=eps)
        monkeypatch.setattr(torch, "randn_like", lambda like: eps)
        found = models.plain(model, kind, 3.0, 12_000)(images)
        torch.testing.assert_close(found.loss, wanted.loss, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found.kl, wanted.kl.mean(), rtol=1e-5, atol=1e-4)
        parameters = list(model.parameters())
        ours, theirs = (torch.autograd.grad(each.loss, parameters) for each in (wanted, found))
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(other, mine, rtol=1e-4, atol=1e-5 * float(mine.abs().max()))


@pytest.mark.parametrize("plain", [False, True])
def test_a_tiny_run_leaves_its_figures(tmp_path, plain):
    options = ["--objective", "tc", "--epochs", "2", "--every", "60", "--out", str(tmp_path), *["--plain"] * plain]
    result = CliRunner().invoke(command.main, options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert (found["images"], found["steps"], found["plain"]) == (200, 2, plain)
    assert found["losses"][1] < found["losses"][0]
    assert set(found["gaps"]) == {factor.name for factor in drawing.FACTORS}
    assert (tmp_path / "traversals.png").stat().st_size > 1000
