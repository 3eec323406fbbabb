"""The figures of a run from arrays, and their files.

Images are ``[count, height, width]`` in [0, 1], or ``[count, height, width, channels]``, see `arrays`; small ones are
drawn smoothed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter
from PIL import Image

from fastvae.train.pictures import panels
from fastvae.train.pictures.arrays import UNIT, Array, Group
from fastvae.train.runs import atomic
from fastvae.train.runs.metrics import Epoch, columns

_DPI: Final = 150
_ZOOM: Final = 3
_FRAME_MS: Final = 400


def save(figure: Figure, path: Path) -> None:
    """Write `figure` in the format of the suffix. Without pyplot, no window system or global state is involved."""
    FigureCanvasAgg(figure)
    atomic.write(path, lambda temporary: figure.savefig(temporary, dpi=_DPI))


def animation(frames: Sequence[Array], path: Path) -> None:
    """Write grids of images, one after the other, as a GIF that loops."""
    first, *others = map(_page, frames)

    def writer(file: Path) -> None:
        first.save(file, format="GIF", save_all=True, append_images=others, duration=_FRAME_MS, loop=0)

    atomic.write(path, writer)


def _page(frame: Array) -> Image.Image:
    """A grid enlarged, white where it has gaps."""
    page = Image.fromarray((255 * np.nan_to_num(frame, nan=1.0)).clip(0, 255).astype(np.uint8))
    return page.resize((_ZOOM * page.width, _ZOOM * page.height), Image.Resampling.NEAREST)


def sample_grid(images: Array, title: str) -> Figure:
    """Images in a grid that is about square."""
    images = panels.smoothed(images, 1)
    columns = max(1, round(len(images) ** 0.5))
    picture = panels.tile(images, columns)
    scale = 6.0 / max(picture.shape[:2])
    figure = Figure(figsize=(max(picture.shape[1] * scale, 3.0), picture.shape[0] * scale + 0.5), layout="constrained")
    axes = figure.subplots()
    panels.show(axes, picture)
    axes.set_title(title)
    return figure


def reconstructions(originals: Array, reconstructed: Array, title: str, columns: int = 10) -> Figure:
    """Rows of `columns` originals, their reconstructions under them."""
    originals, reconstructed = panels.smoothed(originals, 1), panels.smoothed(reconstructed, 1)
    blocks = range(0, len(originals), columns)
    figure = Figure(figsize=(8.0, 1.5 * len(blocks) + 0.6), layout="constrained")
    figure.suptitle(title, fontsize="large")
    for axes, start in zip(figure.subplots(len(blocks), 1, squeeze=False)[:, 0], blocks, strict=True):
        part = slice(start, start + columns)
        panels.reconstructions(axes, originals[part], reconstructed[part], columns)
    return figure


def latent(points: Array, labels: Array | None, title: str, axis_names: tuple[str, str]) -> Figure:
    """Scatter of ``[count, 2]`` points, coloured by label where there are labels."""
    figure = Figure(figsize=(7.0, 6.0), layout="constrained")
    axes = figure.subplots()
    panels.scatter(axes, points, labels, axis_names)
    axes.set_title(title)
    axes.set_aspect("equal", adjustable="datalim")
    panels.name_labels(axes, labels)
    return figure


def manifold(images: Array, coordinates: Array, title: str) -> Figure:
    """Decoded grid of a 2-D latent; `images` by row from the top, `coordinates` the values of z along each axis."""
    images = panels.smoothed(images, 1)
    _, height, width, *_ = images.shape
    figure = Figure(figsize=(7.0, 7.0 * height / width), layout="constrained")
    axes = figure.subplots()
    panels.manifold(axes, images, coordinates)
    axes.set_title(title)
    return figure


def interpolation(originals: Array, decoded: Array, numbers: Array, title: str, *, numbered: str = "labels") -> Figure:
    """Rows from one original to another.

    Args:
        originals: ``[rows, 2, ...]``, what a row begins and ends with.
        decoded: ``[rows, columns, ...]``, from the first to the second in equal steps.
        numbers: of the originals, ``[rows, 2]``.
        title: of the figure.
        numbered: what the numbers are of.
    """
    originals, decoded = panels.smoothed(originals, 2), panels.smoothed(decoded, 2)
    rows, columns, height, width, *channels = decoded.shape
    margin = width // 2
    space = np.full((rows * height + (rows - 1), margin, *channels), np.nan)
    first, last = (panels.tile(originals[:, side], 1) for side in range(2))
    middle = panels.tile(decoded.reshape(-1, height, width, *channels), columns)
    picture = np.hstack((first, space, middle, space, last))
    figure = Figure(figsize=(9.0, 9.0 * picture.shape[0] / picture.shape[1] + 0.6), layout="constrained")
    axes = figure.subplots()
    panels.show(axes, picture)
    centre, start = width / 2 - 0.5, width + margin
    across = [centre, *(start + x for x in panels.centres(columns, width)), picture.shape[1] - 1 - centre]
    steps = [f"{weight:.2f}" for weight in np.linspace(0, 1, columns)]
    axes.set_xticks(across, ["original", *steps, "original"])
    axes.set_yticks(panels.centres(rows, height), [f"{one} to {other}" for one, other in numbers])
    axes.tick_params(length=0)
    axes.set(title=title, xlabel="weight of the right image's latent", ylabel=numbered)
    return figure


def traversal(decoded: Array, values: Array, names: Sequence[str], title: str) -> Figure:
    """Rows of one coordinate changed: `decoded` is ``[rows, columns, ...]``, at the coordinate's `values`."""
    decoded = panels.smoothed(decoded, 2)
    rows, columns, height, width, *channels = decoded.shape
    picture = panels.tile(decoded.reshape(-1, height, width, *channels), columns)
    figure = Figure(figsize=(8.0, 7.0 * picture.shape[0] / picture.shape[1] + 1.1), layout="constrained")
    axes = figure.subplots()
    panels.show(axes, picture)
    axes.set_xticks(panels.centres(columns, width), [Formatter.fix_minus(f"{value:.1f}") for value in values])
    axes.set_yticks(panels.centres(rows, height), names)
    axes.tick_params(length=0)
    axes.set(title=title, xlabel=f"value of the coordinate {UNIT}")
    return figure


def losses(history: Sequence[Epoch], title: str) -> Figure:
    """Negative ELBO and its two parts per epoch, train and test."""
    measured = columns(history)
    curves = [curve for curve in panels.CURVES if f"train_{curve.name}" in measured]
    figure = Figure(figsize=(4.0 * len(curves), 4.0), layout="constrained")
    figure.suptitle(title, fontsize="large")
    for axes, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        panels.losses(axes, history, curve)
        axes.set_ylabel(f"{curve.quantity} (nats per image)")
        axes.legend()
    return figure


def grid(groups: Sequence[Group], row_names: Sequence[str], title: str) -> Figure:
    """Rows of images in named groups of columns.

    Args:
        groups: a name and its images ``[rows, columns, ...]``, from left to right.
        row_names: one for each row, or none.
        title: of the figure.
    """
    smoothed = [panels.smoothed(images, 2) for _, images in groups]
    rows, _, height, width, *channels = smoothed[0].shape
    tiles = [panels.tile(images.reshape(-1, height, width, *channels), images.shape[1]) for images in smoothed]
    margin = np.full((len(tiles[0]), width // 3, *channels), np.nan)
    picture = np.hstack([part for one in tiles for part in (one, margin)][:-1])
    begins = np.cumsum([0, *(one.shape[1] + margin.shape[1] for one in tiles[:-1])])
    centres = [begin + one.shape[1] / 2 - 0.5 for begin, one in zip(begins, tiles, strict=True)]
    scale = 0.6 / width
    figure = Figure(figsize=(scale * picture.shape[1] + 0.6, scale * picture.shape[0] + 1.1), layout="constrained")
    figure.suptitle(title, fontsize="large")
    axes = figure.subplots()
    panels.show(axes, picture)
    axes.set_xticks(centres, [name for name, _ in groups])
    axes.xaxis.tick_top()
    axes.set_yticks(panels.centres(rows, height)[: len(row_names)], row_names)
    axes.tick_params(length=0)
    return figure
