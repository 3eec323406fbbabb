"""Pictures of other data than grey digits: colour, opacity, spatial latents, samples that are no images."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from fastvae import VAE
from fastvae.plots import arrays, panels
from fastvae.train.errors import UserError
from fastvae.train.pictures import comparison, epochs, samples, saved
from fastvae.train.pictures import run as drawing
from fastvae.train.settings.config import Config
from tests.train.simple_models import (
    HISTORY,
    ORANGE,
    Flat,
    Map,
    config,
    drawn,
    is_coloured,
    pixels_of,
    spatial,
    split,
    vae,
)

OF_IMAGES = {"reconstructions.png", "samples.png", "interpolation.png"}
OF_VECTORS = {"latent.png", "traversal.png"}


@pytest.mark.parametrize("latent_dim", [2, 3])
def test_every_picture_of_coloured_images_is_coloured(tmp_path, latent_dim):
    names = drawn(tmp_path, config((3, 8, 8), 10, latent_dim=latent_dim), vae(ORANGE, latent_dim), split(3, 8, 8))
    of_plane = {"manifold.png"} if latent_dim == 2 else set()
    assert names == {*OF_IMAGES, *OF_VECTORS, *of_plane, "losses.png"}
    assert all(is_coloured(tmp_path / name) for name in names - {"latent.png", "losses.png"})


def test_grey_images_are_not_coloured(tmp_path):
    drawn(tmp_path, config((1, 8, 8), 10, latent_dim=2), vae((0.5,)), split(1, 8, 8))
    assert not any(is_coloured(tmp_path / name) for name in OF_IMAGES)


def test_images_keep_their_colours_and_places():
    values = torch.rand(5, 3, 4, 6)
    found = arrays.images(values)
    assert found.shape == (5, 4, 6, 3)
    np.testing.assert_array_equal(found[2, 1, 5], values[2, :, 1, 5])
    assert arrays.images(values[:, :1]).shape == (5, 4, 6)
    tiled = panels.tile(found, 2)
    assert tiled.shape == (14, 13, 3)
    np.testing.assert_array_equal(tiled[5:9, 7:], found[3])
    assert np.isnan(tiled[4]).all()


def test_gaps_between_coloured_images_are_white():
    axes = Figure().subplots()
    panels.show(axes, panels.tile(np.zeros((2, 2, 2, 3)), 2))
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal(shown[:, 2], 1)
    np.testing.assert_array_equal(shown[:, :2], 0)


def test_small_coloured_images_are_smoothed_channel_by_channel():
    images = np.random.RandomState(0).rand(2, 3, 8, 8, 3)
    found = panels.smoothed(images, 2)
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], panels.smoothed(images[..., channel], 2))


@pytest.mark.parametrize("size", [8, 32])
def test_what_is_not_opaque_is_drawn_on_white(size):
    images = np.ones((1, size, size, 4)) * np.array([0.2, 0.4, 0.6, 0.25])
    found = panels.smoothed(images, 1)
    middle = found[0, found.shape[1] // 2, found.shape[2] // 2]
    np.testing.assert_allclose(middle, 0.25 * np.array([0.2, 0.4, 0.6]) + 0.75, atol=1e-6)


def test_animation_of_coloured_images(tmp_path, monkeypatch):
    model = vae(ORANGE, size=(32, 32))
    monkeypatch.setattr(epochs, "create", lambda config: model)
    monkeypatch.setattr(epochs.weights, "load", lambda *given: None)
    chosen = config((3, 32, 32), 10, latent_dim=2, keep_weights=True)
    assert "samples.gif" in drawn(tmp_path, chosen, model, split(3, 32, 32))
    np.testing.assert_allclose(pixels_of(tmp_path / "samples.gif")[3, 3] / 255, ORANGE, atol=0.02)


def test_spatial_latents_have_no_plane_and_no_single_coordinate(tmp_path):
    names = drawn(tmp_path, config((3, 8, 8), 10, latent_dim=2), spatial(), split(3, 8, 8))
    assert names == {*OF_IMAGES, "losses.png"}


def test_interpolations_of_spatial_latents_are_straight_lines():
    class Seen(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z[:, :1]

    model = VAE(Map(2), Seen(), likelihood="gaussian", latent_shape=(2, 2, 2))
    starts, ends = torch.rand(3, 2, 2, 2), torch.rand(3, 2, 2, 2)
    with torch.no_grad():
        found = arrays.interpolations(model, starts, ends, 5)
    assert found.shape == (3, 5, 1, 2, 2)
    np.testing.assert_allclose(found[1, 1, 0], torch.lerp(starts[1, 0], ends[1, 0], 0.25), atol=1e-6)


@pytest.mark.parametrize("shape", [(50,), (2, 5, 5)])
def test_samples_that_are_no_images(tmp_path, shape):
    chosen = config(shape, 0, latent_dim=2)
    decoder = nn.Sequential(nn.Linear(2, 50), nn.Unflatten(1, shape))
    model = VAE(Flat(2), decoder, likelihood="gaussian", latent_shape=2)
    assert drawn(tmp_path, chosen, model, split(*shape, labels=0)) == {"latent.png", "losses.png"}
    assert drawing.note(chosen) == (
        f"samples of shape {shape} are no images, which have 1, 3 or 4 channels, a height and a width: pictures of the "
        "latent and the losses only"
    )
    with pytest.raises(UserError, match=r"--out: got .*a\.png, but samples of shape .* are no images"):
        samples.save(model, chosen, 3, None, 0, tmp_path / "a.png")
    assert samples.default_name(chosen) == "generated.npy"
    samples.save(model, chosen, 3, None, 0, tmp_path / "a.npy")
    of_file = shape if len(shape) == 1 else (*shape[1:], shape[0])
    assert np.load(tmp_path / "a.npy").shape == (3, *of_file)


def test_no_note_where_everything_is_drawn():
    assert drawing.note(config((3, 8, 8), 0)) is None


@pytest.mark.parametrize("suffix", [".png", ".npy", ".npz"])
@pytest.mark.parametrize(("shape", "colour"), [((3, 8, 8), ORANGE), ((4, 8, 8), (*ORANGE, 1.0)), ((1, 8, 8), (0.5,))])
def test_sampled_files(tmp_path, shape, colour, suffix):
    out = tmp_path / f"samples{suffix}"
    samples.save(vae(colour), config(shape, 0, latent_dim=2), 5, None, 0, out)
    if suffix == ".png":
        assert is_coloured(out) == (shape[0] > 1)
        return
    loaded = np.load(out)
    found = loaded if suffix == ".npy" else loaded["images"]
    assert found.dtype == np.float32
    if shape[0] == 1:
        assert found.shape == (5, 8, 8)
    else:
        assert found.shape == (5, 8, 8, shape[0])
        np.testing.assert_allclose(found[3, 2, 1], colour, atol=1e-6)


def column(chosen: Config, model: VAE, *shape: int) -> comparison.Column:
    return comparison.column("name", chosen, model, split(*shape, labels=chosen.labels), HISTORY)


def test_comparison_of_coloured_images_of_many_labels(tmp_path):
    columns = [
        column(config((3, 8, 8), 12, latent_dim=2), vae(ORANGE), 3, 8, 8),
        column(config((3, 8, 8), 12, latent_dim=2), spatial(), 3, 8, 8),
    ]
    assert columns[0].originals.shape == columns[1].reconstructed.shape == (10, 8, 8, 3)
    assert columns[0].points is not None
    assert columns[1].points is columns[1].coordinates is None
    figure = comparison.figure(columns[::-1], "title")
    assert [text.get_text() for text in figure.axes[0].texts] == ["a spatial latent"]
    assert figure.axes[-1].get_ylabel() == "label"
    saved.save(figure, tmp_path / "a.png")
    assert is_coloured(tmp_path / "a.png")


def test_comparison_of_samples_that_are_no_images(tmp_path):
    model = VAE(Flat(2), nn.Linear(2, 50), likelihood="gaussian", latent_shape=2)
    one = column(config((50,), 0, latent_dim=2), model, 50)
    assert one.labels is one.originals is one.decoded is None
    figure = comparison.figure([one, one], "title")
    for row in (1, 2):
        assert [text.get_text() for text in figure.axes[2 * row].texts] == ["samples that are no images"]
    saved.save(figure, tmp_path / "a.png")
