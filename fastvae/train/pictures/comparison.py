"""One figure of several runs, a column each: latent, reconstructions, decoded latents, losses."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastvae import VAE
from fastvae.plots import arrays, panels
from fastvae.plots.arrays import Array
from fastvae.plots.rows import rows_of
from fastvae.train.data.datasets import Split
from fastvae.train.evaluation.latent_use import posteriors
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.config import Config

_SAMPLES_SIDE: Final = 8
_WIDTH: Final = 2.7  # inches of a column: three are read at the width of a page
_HEIGHTS: Final = (2.7, 0.55, 2.7, 1.5, 1.5, 1.5)  # inches of the rows, about
_TITLE_CHARACTERS: Final = 28  # that fit in the width of a column


class Column(NamedTuple):
    """What is drawn of one run.

    Attributes:
        name: the column's title.
        likelihood: its name; the losses of different ones have different scales.
        points, axis_names: the latent of the test images, see `arrays.plane`; None of a spatial one.
        labels: of the test images; None where there are none.
        originals, reconstructed: a test image of each label; None of samples that are no images.
        decoded: a grid of images, by row from the top; None, too, of such samples.
        coordinates: the values of z along both axes of the grid; None where the grid is of samples from the prior.
        history: the losses.
    """

    name: str
    likelihood: str
    points: Array | None
    axis_names: tuple[str, str]
    labels: Array | None
    originals: Array | None
    reconstructed: Array | None
    decoded: Array | None
    coordinates: Array | None
    history: Sequence[Epoch]


@torch.no_grad()
def column(name: str, config: Config, model: VAE, test: Split, history: Sequence[Epoch]) -> Column:
    """What `model` makes of the test images and of the latent."""
    model.eval()
    points: Array | None = None
    originals: Array | None = None
    reconstructed: Array | None = None
    decoded: Array | None = None
    coordinates: Array | None = None
    axis_names = ("", "")
    gaussians = [posterior for posterior, _ in posteriors(model, config, test)]
    of_vectors = gaussians[0].mean.dim() == 2
    if of_vectors:
        points, axis_names = arrays.plane(gaussians)
    if arrays.drawable(config.shape):
        images = test.images[arrays.examples(test.labels if config.labels else None, len(test.images))]
        originals, reconstructed = arrays.images(images), arrays.images(model.reconstruct(images))
        if of_vectors and config.latent_dim == 2:
            coordinates, grid = arrays.manifold(model, test.images.device)
            decoded = arrays.images(grid.flatten(0, 1))
        else:
            decoded = arrays.images(model.sample(_SAMPLES_SIDE**2, seed=config.seed))
    labels = test.labels.cpu().numpy() if config.labels else None
    return Column(
        name,
        config.likelihood,
        points,
        axis_names,
        labels,
        originals,
        reconstructed,
        decoded,
        coordinates,
        history,
    )


def figure(columns: Sequence[Column], title: str) -> Figure:
    """All runs: planes of the latent in one scale, losses too where the likelihood is the same."""
    size = (_WIDTH * len(columns) + 1.0, sum(_HEIGHTS) + 1.5)
    result = Figure(figsize=size, layout="constrained")
    result.suptitle(title, fontsize="x-large")
    grid = result.subplots(len(_HEIGHTS), len(columns), squeeze=False, height_ratios=_HEIGHTS)
    latents, reconstructions, decoded, *losses = grid
    _latents(latents, columns)
    for axes, one in zip(reconstructions, columns, strict=True):
        _reconstructions(axes, one)
    for axes, one in zip(decoded, columns, strict=True):
        _decoded(axes, one)
    _named_once(reconstructions)
    if all(one.coordinates is not None for one in columns):
        _named_once(latents)
        _named_once(decoded)
    for row, curve in zip(losses, panels.CURVES, strict=True):
        _losses(row, columns, curve)
    losses[0][0].legend()
    for axes in np.ravel(losses[:-1]):
        axes.set_xlabel("")
    return result


def _named_once(row: Sequence[Axes]) -> None:
    """The vertical axis of a row that has one, at its left."""
    for axes in row[1:]:
        axes.set_ylabel("")
        axes.tick_params(labelleft=False)


def _latents(row: Sequence[Axes], columns: Sequence[Column]) -> None:
    planes = [one.points for one in columns if one.points is not None and one.coordinates is not None]
    reach = 1.05 * max((float(np.abs(points).max()) for points in planes), default=1.0)
    for axes, one in zip(row, columns, strict=True):
        axes.set_title(_wrapped(one.name), fontsize="medium", fontweight="bold")
        if one.points is None:
            _nothing(axes, "a spatial latent")
            continue
        panels.scatter(axes, one.points, one.labels, one.axis_names)
        axes.locator_params(nbins=6)
        if one.coordinates is None:
            axes.set_aspect("equal", adjustable="datalim")
        else:
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    panels.name_labels(row[-1], columns[-1].labels)


def _nothing(axes: Axes, why: str) -> None:
    """No axes, and the reason in their middle."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color="0.5")


def _reconstructions(axes: Axes, one: Column) -> None:
    if one.originals is None or one.reconstructed is None:
        _nothing(axes, "samples that are no images")
        return
    originals, reconstructed = panels.smoothed(one.originals, 1), panels.smoothed(one.reconstructed, 1)
    panels.reconstructions(axes, originals, reconstructed, len(originals))
    # At the left edge, however high the row: the layout leaves room for the names there.
    axes.set_anchor("W")


def _wrapped(name: str) -> str:
    """In lines that fit, broken between settings."""
    whole = ", ".join(setting.replace(" ", "\N{NO-BREAK SPACE}") for setting in name.split(", "))
    return textwrap.fill(whole, _TITLE_CHARACTERS, break_on_hyphens=False, break_long_words=False)


def _losses(row: Sequence[Axes], columns: Sequence[Column], curve: panels.Curve) -> None:
    if curve.name == "kl" or len({one.likelihood for one in columns}) == 1:
        # Before anything is drawn, so that the scale is that of all.
        for axes in row[1:]:
            axes.sharey(row[0])
        _named_once(row)
    for axes, one in zip(row, columns, strict=True):
        panels.losses(axes, rows_of(one.history), curve)
        axes.locator_params(axis="x", nbins=5)
    row[0].set_ylabel(f"{curve.quantity}\n(nats per image)")


def _decoded(axes: Axes, one: Column) -> None:
    if one.decoded is None:
        _nothing(axes, "samples that are no images")
        return
    if one.coordinates is None:
        panels.show(axes, panels.tile(panels.smoothed(one.decoded, 1), _SAMPLES_SIDE))
        axes.set_title("samples from the prior", fontsize="medium")
    else:
        # Every other value of z from each end to the middle: in a column there is room for so many.
        kept = np.r_[0 : len(one.coordinates) // 2 : 2, len(one.coordinates) // 2 + 1 : len(one.coordinates) : 2]
        grid = one.decoded.reshape(len(one.coordinates), -1, *one.decoded.shape[1:])[kept][:, kept]
        decoded = panels.smoothed(grid.reshape(-1, *one.decoded.shape[1:]), 1)
        panels.manifold(axes, decoded, one.coordinates[kept])
        axes.set_xticks(axes.get_xticks()[[0, 1, 4, 5]])
        axes.set_title("decoded at normal quantiles", fontsize="medium")
