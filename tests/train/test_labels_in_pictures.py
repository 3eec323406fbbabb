"""Pictures of data with any number of labels, or none."""

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from fastvae.plots import arrays, figures
from fastvae.train.errors import UserError
from fastvae.train.models import build
from fastvae.train.pictures import samples
from tests.train.simple_models import ORANGE, conditional, config, drawn, is_coloured, split, vae


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
    assert arrays.examples(torch.arange(30).flip(0) % 15, 30, 4).tolist() == [14, 13, 12, 11]
    assert arrays.examples(None, 30, 4).tolist() == [0, 1, 2, 3]
    assert len(arrays.examples(None, 30, 50)) == 30


@pytest.mark.parametrize(("labels", "numbered"), [(0, "test images"), (10, "labels"), (25, "labels")])
def test_interpolations_with_any_number_of_labels(tmp_path, monkeypatch, labels, numbered):
    made = {}
    monkeypatch.setattr(
        figures, "interpolation", lambda *given, **options: made.update(options, rows=given[2]) or Figure()
    )
    drawn(tmp_path, config((3, 8, 8), labels, latent_dim=2), vae(ORANGE), split(3, 8, 8, labels=labels))
    assert made["numbered"] == numbered
    assert made["rows"].tolist() == [[one, (one + 1) % 10] for one in range(10)]


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


def test_the_model_built_for_a_config_has_its_labels():
    assert build.conditioning(config((3, 8, 8), 12, condition="label", latent_dim=2)).condition_width == 12
