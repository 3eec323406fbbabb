"""Pictures of other data than grey digits: colour, opacity, many labels or none, samples that are no images."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae.train.data import datasets
from fastvae.train.errors import UserError
from fastvae.train.models import build
from fastvae.train.pictures import arrays, comparison, figures, panels, samples
from fastvae.train.pictures import run as drawing
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve

HISTORY = [Epoch(1, 9.0, -9.0, 6.0, 3.0, 10.0, -10.0, 6.5, 3.5, 0.1)]
ORANGE = (0.9, 0.5, 0.1)
OF_IMAGES = {"reconstructions.png", "samples.png", "interpolation.png"}
OF_VECTORS = {"latent.png", "traversal.png"}


def config(shape: tuple[int, ...], labels: int, **settings) -> Config:
    return Config(**resolve({"device": "cpu", "threads": 1, "shape": shape, "labels": labels, **settings}))


class Shade(nn.Module):
    """Decodes every latent to the same colour in all pixels."""

    def __init__(self, colour: tuple[float, ...], size: tuple[int, int]) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.tensor(colour).view(-1, 1, 1).repeat(1, *size))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.colour.repeat(len(z), 1, 1, 1)


class Flat(nn.Module):
    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.flatten(1)[:, : 2 * self.latent_dim] / 255


class Map(nn.Module):
    """Moments of a spatial latent, ``[batch, 2 D, 2, 2]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1, :2, :2].repeat(1, 2 * self.channels, 1, 1) / 255


def vae(colour: tuple[float, ...], latent_dim: int = 2, size: tuple[int, int] = (8, 8)) -> VAE:
    return VAE(Flat(latent_dim), Shade(colour, size), likelihood="gaussian", latent_shape=latent_dim)


def spatial() -> VAE:
    return VAE(Map(2), Shade(ORANGE, (8, 8)), likelihood="gaussian", latent_shape=(2, 2, 2))


def split(*shape: int, labels: int = 10, count: int = 40) -> datasets.Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    return datasets.Split(images, torch.arange(count) % max(labels, 1))


def drawn(folder: Path, chosen: Config, model: VAE | CVAE, test: datasets.Split) -> set[str]:
    names = drawing.draw(RunFolder(folder), chosen, model, test, HISTORY)
    assert {file.name for file in folder.iterdir()} == set(names)
    return set(names)


def pixels_of(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def is_coloured(file: Path) -> bool:
    pixels = pixels_of(file)
    return bool((np.ptp(pixels, axis=-1) > 60).mean() > 0.01)


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
    monkeypatch.setattr(drawing, "create", lambda config: model)
    monkeypatch.setattr(drawing.weights, "load", lambda *given: None)
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
    assert found.shape == (3, 5, 2, 2)
    np.testing.assert_allclose(found[1, 1], torch.lerp(starts[1, 0], ends[1, 0], 0.25), atol=1e-6)


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


def dots(axes) -> np.ndarray:
    return axes.collections[0].get_facecolors()[:, :3]


def test_a_latent_without_labels_is_drawn_in_one_colour():
    (axes,) = figures.latent(np.random.RandomState(0).rand(30, 2), None, "title", ("a", "b")).axes
    assert len(np.unique(dots(axes), axis=0)) == 1
    assert axes.get_legend() is None


def test_ten_labels_have_a_legend():
    labels = np.arange(30) % 10
    (axes,) = figures.latent(np.random.RandomState(0).rand(30, 2), labels, "title", ("a", "b")).axes
    names = axes.get_legend()
    assert [text.get_text() for text in names.get_texts()] == [str(label) for label in range(10)]
    shown = [matplotlib.colors.to_rgb(handle.get_color()) for handle in names.legend_handles]
    np.testing.assert_allclose(dots(axes)[:10], shown)
    assert len(np.unique(shown, axis=0)) == 10


@pytest.mark.parametrize("count", [11, 300])
def test_more_labels_have_a_colour_bar(count):
    labels = np.arange(2 * count) % count
    axes, bar = figures.latent(np.random.RandomState(0).rand(len(labels), 2), labels, "title", ("a", "b")).axes
    assert axes.get_legend() is None
    assert bar.get_ylabel() == "label"
    assert bar.get_ylim() == (0, count - 1)
    colours = dots(axes)
    np.testing.assert_array_equal(colours[:count], colours[count:])
    assert len(np.unique(colours, axis=0)) > 0.7 * min(count, 256)


def test_examples():
    test = datasets.Split(torch.zeros(30, 3, 8, 8), torch.arange(30).flip(0) % 15)
    assert arrays.examples(test, 15, 4).tolist() == [14, 13, 12, 11]
    assert arrays.examples(test, 0, 4).tolist() == [0, 1, 2, 3]
    assert len(arrays.examples(test, 0, 50)) == 30


@pytest.mark.parametrize(("labels", "numbered"), [(0, "test images"), (10, "labels"), (25, "labels")])
def test_interpolations_with_any_number_of_labels(tmp_path, monkeypatch, labels, numbered):
    made = {}
    monkeypatch.setattr(
        figures, "interpolation", lambda *given, **options: made.update(options, rows=given[2]) or Figure()
    )
    drawn(tmp_path, config((3, 8, 8), labels, latent_dim=2), vae(ORANGE), split(3, 8, 8, labels=labels))
    assert made["numbered"] == numbered
    assert made["rows"].tolist() == [[one, (one + 1) % 10] for one in range(10)]


def conditional(labels: int, colour: tuple[float, ...] = ORANGE) -> CVAE:
    return CVAE(Flat(2), Shade(colour, (8, 8)), likelihood="gaussian", latent_shape=2)


@pytest.mark.parametrize(("labels", "rows"), [(1, [0]), (3, [0, 1, 2]), (20, list(range(20))), (100, None)])
def test_labels_picture_of_any_number_of_labels(tmp_path, monkeypatch, labels, rows):
    made = {}
    monkeypatch.setattr(figures, "grid", lambda groups, names, title: made.update(names=names, title=title) or Figure())
    chosen = config((3, 8, 8), labels, condition="label", latent_dim=2)
    names = drawn(tmp_path, chosen, conditional(labels), split(3, 8, 8, labels=labels))
    assert names == {"labels.png", "reconstructions.png", "latent.png", "losses.png"}
    if rows is None:
        found = [int(name) for name in made["names"]]
        assert (found[0], found[-1], len(set(found))) == (0, 99, 20)
        assert set(np.diff(found)) == {5, 6}
        assert made["title"].startswith("Images for 20 of 100 labels\n")
    else:
        assert made["names"] == list(map(str, rows))
        assert made["title"].startswith("Images for each label\n")


def test_labels_picture_is_coloured(tmp_path):
    chosen = config((3, 8, 8), 12, condition="label", latent_dim=2)
    drawn(tmp_path, chosen, conditional(12), split(3, 8, 8, labels=12))
    assert is_coloured(tmp_path / "labels.png")


def test_a_label_beyond_those_of_the_run_is_refused(tmp_path):
    chosen = config((3, 8, 8), 12, condition="label", latent_dim=2)
    samples.save(conditional(12), chosen, 2, 11, 0, tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").shape == (2, 8, 8, 3)
    with pytest.raises(UserError, match=r"--label: got 12; takes 0 to 11"):
        samples.save(conditional(12), chosen, 2, 12, 0, tmp_path / "b.npy")


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
    figures.save(figure, tmp_path / "a.png")
    assert is_coloured(tmp_path / "a.png")


def test_comparison_of_samples_that_are_no_images(tmp_path):
    model = VAE(Flat(2), nn.Linear(2, 50), likelihood="gaussian", latent_shape=2)
    one = column(config((50,), 0, latent_dim=2), model, 50)
    assert one.labels is one.originals is one.decoded is None
    figure = comparison.figure([one, one], "title")
    for row in (1, 2):
        assert [text.get_text() for text in figure.axes[2 * row].texts] == ["samples that are no images"]
    figures.save(figure, tmp_path / "a.png")


def test_the_model_built_for_a_config_has_its_labels():
    assert build.conditioning(config((3, 8, 8), 12, condition="label", latent_dim=2)).condition_width == 12
