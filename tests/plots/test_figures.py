"""What the figures of `fastvae.plots` show: the pixels that a model decodes to, in their places, under their names."""

import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE, BetaVAE, plots

SIDE = 32  # large enough to be drawn as it is
COLOUR = (3, SIDE, SIDE)


class Means(nn.Module):
    """The mean of dimension d is the sample's first value times d + 1; the deviation is one."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.arange(1.0, latent + 1))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mu = self.dropout(x.flatten(1)[:, :1].float()) * self.gain
        return mu, torch.zeros_like(mu)


class Shades(nn.Module):
    """Each channel is of one shade: that of the coordinate of its number, or of the condition's where there is one."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        values = z if condition is None else z + condition
        channels = nn.functional.pad(values, (0, self.shape[0]))[:, : self.shape[0]]
        return channels.reshape(len(z), -1, *[1] * (len(self.shape) - 1)).expand(-1, *self.shape)


def vae(*shape: int, latent: int = 3, kind: type[VAE] = VAE) -> VAE:
    return kind(Means(latent), Shades(*shape), likelihood="gaussian", latent_shape=latent)


def cvae(*shape: int) -> CVAE:
    return CVAE(Means(3), Shades(*shape), likelihood="gaussian", latent_shape=3)


def shades(*values: float, shape: tuple[int, ...] = COLOUR) -> Tensor:
    return torch.tensor(values).reshape(-1, *[1] * len(shape)).expand(-1, *shape)


def cells(figure, rows: int, columns: int, size: int = SIDE, number: int = 0) -> np.ndarray:
    """The pixel in the middle of each cell of a grid of images."""
    picture = np.asarray(figure.axes[number].images[0].get_array())
    places = [size // 2 + (size + 1) * index for index in range(max(rows, columns))]
    return picture[np.ix_(places[:rows], places[:columns])]


@pytest.mark.parametrize("kind", [VAE, BetaVAE])
def test_reconstructions_stand_under_their_originals_in_colour(kind):
    figure = plots.reconstructions(vae(*COLOUR, kind=kind), shades(0.1, 0.2, 0.3), columns=2)
    first, second = (cells(figure, 2, 2, number=number) for number in range(2))
    np.testing.assert_allclose(first[0], [[0.1] * 3, [0.2] * 3], atol=1e-6)
    np.testing.assert_allclose(first[1], [[0.1, 0.2, 0.3], [0.2, 0.4, 0.6]], atol=1e-6)
    np.testing.assert_allclose(second[1, 0], [0.3, 0.6, 0.9], atol=1e-6)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["original", "reconstruction"]


def test_reconstructions_of_a_conditional_model_are_of_its_condition():
    figure = plots.reconstructions(cvae(*COLOUR), shades(0.1), torch.tensor([[0.5, 0.0, 0.2]]))
    np.testing.assert_allclose(cells(figure, 2, 1)[1, 0], [0.6, 0.2, 0.5], atol=1e-6)


def test_bytes_and_ranges_have_their_black_and_white():
    grey = (1, SIDE, SIDE)
    of_bytes = plots.reconstructions(vae(*grey), shades(51, shape=grey).to(torch.uint8))
    assert cells(of_bytes, 1, 1)[0, 0] == pytest.approx(0.2)
    centred = plots.reconstructions(vae(*grey), shades(-0.5, 0.5, shape=grey), value_range=(-1, 1))
    np.testing.assert_allclose(cells(centred, 2, 2), [[0.25, 0.75]] * 2)


def test_flat_images_take_their_shape_and_other_channels_stand_side_by_side():
    flat = plots.reconstructions(vae(SIDE * SIDE), torch.full((1, SIDE * SIDE), 0.5), shape=(SIDE, SIDE))
    assert flat.axes[0].images[0].get_array().shape == (2 * SIDE + 1, 10 * (SIDE + 1) - 1)
    two = plots.reconstructions(vae(2, SIDE, SIDE), shades(0.25, shape=(2, SIDE, SIDE)), columns=1)
    picture = two.axes[0].images[0].get_array()
    assert picture.shape == (2 * SIDE + 1, 2 * SIDE)
    np.testing.assert_allclose(picture[-1, [0, -1]], [0.25, 0.5])


def test_samples_are_those_of_the_model_and_ask_no_generator():
    model = vae(*COLOUR)
    state = torch.get_rng_state()
    figure = plots.samples(model, 4, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    expected = model.eval().sample(4, seed=3)[:, :, 0, 0].detach().clamp(0, 1).reshape(2, 2, 3)
    np.testing.assert_allclose(cells(figure, 2, 2), expected, atol=1e-6)


def test_samples_of_a_conditional_model_are_a_row_for_each_condition():
    model, condition = cvae(*COLOUR), torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.2, 0.1]])
    figure = plots.samples(model, 3, condition, names=["plain", "brown"])
    expected = model.eval().sample(condition, 3, seed=0)[..., 0, 0].detach().clamp(0, 1)
    np.testing.assert_allclose(cells(figure, 2, 3), expected.transpose(0, 1), atol=1e-6)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["plain", "brown"]


def test_traversals_change_one_coordinate_from_the_first_mean():
    figure = plots.traversals(vae(*COLOUR), shades(0.2, 0.0), dims=(1,), reach=1.0, steps=3)
    np.testing.assert_allclose(cells(figure, 1, 3)[0], [[0.2, 0, 0.6], [0.2, 0, 0.6], [0.2, 1, 0.6]], atol=1e-6)
    assert figure.axes[0].get_yticklabels()[0].get_text().startswith("$z_{1}$   KL ")


def test_traversals_begin_at_the_prior_and_with_the_most_used_dimension():
    begun = plots.traversals(vae(*COLOUR), dims=(0,), reach=1.0, steps=3)
    np.testing.assert_allclose(cells(begun, 1, 3)[0], [[0, 0, 0], [0, 0, 0], [1, 0, 0]])
    chosen = plots.traversals(vae(*COLOUR), shades(0.2, 0.3))
    names = [tick.get_text().split()[0] for tick in chosen.axes[0].get_yticklabels()]
    assert names == ["$z_{2}$", "$z_{1}$", "$z_{0}$"]


def test_a_latent_of_two_dimensions_is_drawn_as_it_is():
    figure = plots.latent(vae(*COLOUR, latent=2), shades(0.1, 0.2, 0.3), np.array([0, 1, 1]))
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[0.1, 0.2], [0.2, 0.4], [0.3, 0.6]], atol=1e-6)
    assert axes.get_xlabel() == "$z_0$ (prior standard deviations)"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1"]


def test_more_dimensions_are_drawn_by_principal_components_and_say_so():
    axes = plots.latent(vae(*COLOUR, latent=5), shades(0.1, 0.2, 0.4)).axes[0]
    assert axes.get_xlabel().startswith("principal component 1, 100 % of variance")
    # All of the variance: the distances of the means themselves.
    steps = np.diff(np.asarray(axes.collections[0].get_offsets())[:, 0])
    np.testing.assert_allclose(steps, np.array([0.1, 0.2]) * np.sqrt(55), rtol=1e-5)


def test_kl_by_dimension_has_the_largest_first():
    axes = plots.kl_by_dimension(vae(*COLOUR), shades(0.2, 0.4)).axes[0]
    gains = np.array([3, 2, 1])
    expected = gains**2 * (0.2**2 + 0.4**2) / 4
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], expected, rtol=1e-5)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "1", "0"]


def test_interpolation_goes_from_one_mean_to_the_other():
    grey = (1, SIDE, SIDE)
    figure = plots.interpolation(vae(*grey), shades(0.0, 0.2, shape=grey), shades(1.0, 0.4, shape=grey), steps=3)
    axes = figure.axes[0]
    picture = axes.images[0].get_array()
    found = picture[
        SIDE // 2, [round(x) for x in (SIDE / 2, *[SIDE * 1.5 + SIDE / 2 + k * (SIDE + 1) for k in range(3)])]
    ]
    np.testing.assert_allclose(found, [0.0, 0.0, 0.5, 1.0], atol=1e-6)
    assert picture[-1, -1] == pytest.approx(0.4)


def test_the_manifold_of_large_images_is_bounded():
    figure = plots.manifold(vae(1, 256, 256, latent=2), side=20)
    picture = figure.axes[0].images[0].get_array()
    assert max(picture.shape) <= 2048 + 19
    # z_0 grows to the right, and its shade with it.
    assert picture[0, 0] == 0
    assert picture[0, -1] == 1
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()][-1] == "1.64"


@pytest.mark.parametrize(
    ("rows", "quantities"),
    [
        ([{"epoch": 1, "train_loss": 2.0, "train_kl": 1.0}, {"epoch": 2, "train_loss": 1.0, "train_kl": 0.5}], 2),
        ([{"train_loss": 2.0, "validation_loss": 3.0}, {"train_loss": 1.0, "validation_loss": 4.0}], 1),
    ],
)
def test_losses_of_rows(rows, quantities):
    figure = plots.losses(rows)
    assert len(figure.axes) == quantities
    train, *others = figure.axes[0].lines
    assert list(train.get_ydata()) == [2.0, 1.0]
    assert list(train.get_xdata()) == [1, 2]
    if others:
        assert list(others[-1].get_xdata()) == [1, 1]


def test_losses_of_a_file(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,train_loss,validation_loss\n1,2.0,3.0\n2,1.0,2.5\n")
    for run in (tmp_path, str(file)):
        train, validation, kept = plots.losses(run).axes[0].lines
        assert list(train.get_ydata()) == [2.0, 1.0]
        assert list(validation.get_ydata()) == [3.0, 2.5]
        assert list(kept.get_xdata()) == [2, 2]
    file.write_text("train_loss\nmuch\n")
    with pytest.raises(ValueError, match=r"run: got .*metrics\.csv, no table of numbers"):
        plots.losses(file)


def test_the_model_is_left_as_it_was_and_pyplot_is_not_imported():
    model = vae(*COLOUR)
    model.encoder.dropout.eval()
    plots.reconstructions(model, shades(0.1))
    assert model.training
    assert model.encoder.training
    assert not model.encoder.dropout.training
    assert "matplotlib.pyplot" not in sys.modules


GREY = shades(0.5, shape=(1, SIDE, SIDE))
MISTAKES = {
    "model": (lambda: plots.samples(nn.Linear(2, 2)), TypeError, "model: got Linear; takes a fastvae.VAE"),
    "x": (lambda: plots.latent(vae(*COLOUR), "a"), TypeError, "x: got str; takes a tensor"),
    "empty": (lambda: plots.latent(vae(*COLOUR), GREY[:0]), ValueError, "x: got .*; takes .* a sample or more"),
    "images": (lambda: plots.samples(vae(5), 2), ValueError, r"samples: got samples of shape \(5,\); takes images"),
    "shape": (lambda: plots.samples(vae(5), 2, shape=(2, 2)), ValueError, r"shape: got \(2, 2\) for samples of 5"),
    "range": (lambda: plots.samples(vae(*COLOUR), value_range=(1, 0)), ValueError, r"value_range: got \(1, 0\)"),
    "condition": (lambda: plots.samples(vae(*COLOUR), 2, GREY), ValueError, "condition: got a value with a VAE"),
    "none": (lambda: plots.samples(cvae(*COLOUR), 2), ValueError, "condition: got None with a CVAE; takes a tensor"),
    "rows": (lambda: plots.latent(cvae(*COLOUR), GREY, None, torch.zeros(2, 3)), ValueError, "condition: got 2 rows"),
    "names": (lambda: plots.samples(vae(*COLOUR), 2, names=["a"]), ValueError, "names: got 1; takes 0"),
    "n": (lambda: plots.samples(vae(*COLOUR), 0), ValueError, "n: got 0; takes 1 or more"),
    "labels": (lambda: plots.latent(vae(*COLOUR), GREY, [1, 2]), ValueError, r"labels: got shape \(2,\); takes \(1,\)"),
    "kind": (lambda: plots.latent(vae(*COLOUR), GREY, [0.5]), ValueError, "labels: got float64 from 0.5; takes whole"),
    "dims": (lambda: plots.traversals(vae(*COLOUR), dims=(3,)), ValueError, "dims: got 3; takes 0 to 2"),
    "steps": (lambda: plots.traversals(vae(*COLOUR), steps=1), ValueError, "steps: got 1; takes 2 or more"),
    "ends": (lambda: plots.interpolation(vae(*COLOUR), GREY, GREY[..., 1:]), ValueError, "ends: got shape"),
    "manifold": (lambda: plots.manifold(vae(*COLOUR)), ValueError, r"model: got a latent of shape \(3,\); takes"),
    "run": (lambda: plots.losses(3), TypeError, "run: got int; takes a folder, a Fit"),
    "no epochs": (lambda: plots.losses([]), ValueError, "run: got no epochs"),
    "columns": (lambda: plots.losses([{"loss": 1.0}]), ValueError, "run: got columns loss; takes train_loss"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    call, error, words = MISTAKES[mistake]
    with pytest.raises(error, match=words):
        call()


def test_a_gaussian_stochastic_network_has_no_posterior():
    model = CVAE(Means(3), Shades(*COLOUR), objective="gsnn", likelihood="gaussian", latent_shape=3)
    with pytest.raises(ValueError, match="objective 'gsnn', which trains no recognition network"):
        plots.latent(model, GREY, None, torch.zeros(1, 3))
