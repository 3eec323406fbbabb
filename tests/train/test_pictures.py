"""What the pictures of a run show: the right latents decoded, in the right places, under the right names."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from fastvae import VAE
from fastvae.plots import arrays, figures, panels
from fastvae.train.data import datasets
from fastvae.train.pictures import run as drawing
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve

HISTORY = [Epoch(1, 9.0, -9.0, 6.0, 3.0, 10.0, -10.0, 6.5, 3.5, 0.1)]


class Encoder(nn.Module):
    """The mean is the first pixels as fractions, dimension d times d; standard deviation one."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.gain = torch.arange(latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = self.gain * x.flatten(1)[:, : len(self.gain)] / 255
        return mu, torch.zeros_like(mu)


class Decoder(nn.Module):
    """An image of 4 x 4 pixels that holds the latent, then zeros."""

    def forward(self, z: Tensor) -> Tensor:
        return nn.functional.pad(z, (0, 16 - z.shape[-1])).unflatten(-1, (1, 4, 4))


def transparent(latent_dim: int) -> VAE:
    return VAE(Encoder(latent_dim), Decoder(), likelihood="gaussian", latent_shape=latent_dim).eval()


def split(count: int = 30) -> datasets.Split:
    """Images of one shade each, so that the KL grows with the gain, and labels counted down."""
    shades = torch.randint(0, 256, (count, 1, 1, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return datasets.Split(shades.repeat(1, 1, 4, 4), torch.arange(count).flip(0) % 10)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws a run, and collects what its figures were made of: the arguments, by file name."""
    made: dict[str, tuple] = {}
    for name in ("interpolation", "traversal"):
        monkeypatch.setattr(figures, name, lambda *given, name=name, **_: made.setdefault(name, given) and Figure())

    def draw(latent_dim: int, test: datasets.Split) -> dict[str, tuple]:
        config = Config(**resolve({"latent_dim": latent_dim, "device": "cpu"}))
        drawing.draw(RunFolder(tmp_path), config, transparent(latent_dim), test, HISTORY)
        return made

    return draw


def test_first_of_each_label():
    labels = torch.tensor([3, 1, 3, 7, 1, 3])
    assert arrays.first_of_each(labels).tolist() == [1, 0, 3]
    assert arrays.one_of_each(labels).tolist() == [1, 0, 3, 4, 2, 5]


def test_interpolations_are_straight_lines_between_posterior_means():
    starts, ends = torch.rand(2, 3), torch.rand(2, 3)
    found = arrays.interpolations(transparent(3), starts, ends, 5).reshape(2, 5, 16)[:, :, :3]
    for step in range(5):
        np.testing.assert_allclose(found[:, step], starts + (ends - starts) * step / 4, atol=1e-6)


def test_interpolation_picture_goes_from_each_label_to_the_next(drawn):
    test = split()
    originals, decoded, labels, _ = drawn(4, test)["interpolation"]
    assert labels.tolist() == [[label, (label + 1) % 10] for label in range(10)]
    assert decoded.shape == (10, 10, 4, 4)
    gain = np.arange(4)
    for side, column in ((0, 0), (1, -1)):
        first = np.array([test.labels.tolist().index(label) for label in labels[:, side]])
        np.testing.assert_array_equal(originals[:, side], test.images[first, 0] / 255)
        means = gain * originals[:, side].reshape(10, 16)[:, :4]
        np.testing.assert_allclose(decoded[:, column].reshape(10, 16)[:, :4], means, atol=1e-6)


def test_traversals_change_one_coordinate():
    z, values = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([-3.0, 0.0, 3.0])
    found = arrays.traversals(transparent(3), z, [2, 0], values).reshape(2, 3, 16)[:, :, :3]
    for column, value in enumerate(values):
        np.testing.assert_array_equal(found[0, column], torch.tensor([0.1, 0.2, value]))
        np.testing.assert_array_equal(found[1, column], torch.tensor([value, 0.2, 0.3]))
    np.testing.assert_array_equal(z, torch.tensor([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("latent_dim", [1, 2, 12])
def test_traversal_picture_has_the_most_used_dimensions_first(drawn, latent_dim):
    decoded, values, names, _ = drawn(latent_dim, split())["traversal"]
    used = list(range(latent_dim))[::-1][:10]
    assert [name.split()[0] for name in names] == [f"$z_{{{dimension}}}$" for dimension in used]
    kl = [float(name.split()[-2]) for name in names]
    assert kl == sorted(kl, reverse=True)
    np.testing.assert_allclose(values, np.linspace(-3, 3, 11), atol=1e-6)
    assert values[5] == 0
    for row, dimension in enumerate(used):
        np.testing.assert_array_equal(decoded[row].reshape(11, 16)[:, dimension], values)


@pytest.mark.parametrize("count", [1, 2])
def test_few_test_images_can_be_drawn(drawn, count):
    originals, decoded, labels, _ = drawn(2, split(count))["interpolation"]
    assert originals.shape == (count, 2, 4, 4)
    assert decoded.shape == (count, 10, 4, 4)
    assert len(np.unique(labels)) == count


def texts(ticks):
    return [tick.get_text() for tick in ticks]


def test_names_beside_the_interpolation():
    shades = np.linspace(0, 1, 6)[:, None, None, None] * np.ones((6, 3, 4, 4))
    originals = np.full((6, 2, 4, 4), 0.25)
    figure = figures.interpolation(originals, shades, np.array([(k, k + 1) for k in range(6)]), "title")
    (axes,) = figure.axes
    assert texts(axes.get_xticklabels()) == ["original", "0.00", "0.50", "1.00", "original"]
    assert texts(axes.get_yticklabels())[-1] == "5 to 6"
    picture = axes.images[0].get_array()
    for row, y in enumerate(axes.get_yticks()):
        found = [picture[round(y), round(x)] for x in axes.get_xticks()]
        np.testing.assert_allclose(found, [0.25, *[shades[row, 0, 0, 0]] * 3, 0.25])


def test_names_beside_the_traversal():
    values = np.array([-3.0, 0.0, 3.0])
    decoded = np.arange(6).reshape(2, 3, 1, 1) / 6 * np.ones((2, 3, 4, 4))
    (axes,) = figures.traversal(decoded, values, ["first", "second"], "title").axes
    assert texts(axes.get_xticklabels()) == ["\N{MINUS SIGN}3.0", "0.0", "3.0"]
    assert texts(axes.get_yticklabels()) == ["first", "second"]
    picture = axes.images[0].get_array()
    found = [[picture[round(y), round(x)] for x in axes.get_xticks()] for y in axes.get_yticks()]
    np.testing.assert_allclose(found, decoded[:, :, 0, 0], atol=1e-6)


@pytest.mark.parametrize("size", [(28, 28), (64, 32), (100, 28)])
def test_images_that_are_large_enough_are_drawn_as_they_are(size):
    images = np.random.RandomState(0).rand(2, 3, *size)
    assert panels.smoothed(images, 2) is images


@pytest.mark.parametrize("size", [(8, 8), (4, 4), (8, 12), (1, 1)])
def test_small_images_are_enlarged_each_on_a_black_page(size):
    height, width = size
    images = np.random.RandomState(0).rand(2, 3, height, width)
    found = panels.smoothed(images, 2)
    factor = found.shape[-1] // (width + 2)
    assert found.shape == (2, 3, factor * (height + 2), factor * (width + 2))
    assert factor * min(size) >= 28
    assert found.min() >= 0
    assert found.max() <= 1
    # Each by itself: another image beside it changes nothing.
    np.testing.assert_array_equal(panels.smoothed(images[1, 2], 0), found[1, 2])
    np.testing.assert_array_equal(panels.smoothed(np.zeros(size), 0), 0)


def test_smoothing_keeps_what_an_image_shows():
    shade = panels.smoothed(np.full((8, 8), 0.5), 0)
    # Away from the page's edge.
    np.testing.assert_allclose(shade[12:-12, 12:-12], 0.5, atol=1e-6)
    half = np.zeros((8, 8))
    half[:, 4:] = 1.0
    found = panels.smoothed(half, 0)
    assert found[20, :18].max() == 0
    assert found[20, 22:34].min() > 0.9
    assert (np.diff(found[20, :24]) >= -1e-6).all()


def test_tiles_are_white_between_images():
    picture = panels.tile(np.zeros((3, 2, 2)), 2)
    assert picture.shape == (5, 5)
    assert np.isnan(picture[2]).all()
    assert np.isnan(picture[:, 2]).all()
    assert np.isnan(picture[3:, 3:]).all()
    assert (picture[:2, :2] == 0).all()
