"""The figures of a model and of a run, from arrays.

Images are ``[count, height, width]`` in [0, 1], or ``[count, height, width, channels]``, see `arrays`; small ones are
drawn smoothed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter

from fastvae.plots import arrays, panels
from fastvae.plots.arrays import UNIT, Array, Group
from fastvae.plots.rows import Row


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


def interpolation(
    originals: Array, decoded: Array, numbers: Array | None, title: str, *, numbered: str = "labels"
) -> Figure:
    """Rows from one original to another.

    Args:
        originals: ``[rows, 2, ...]``, what a row begins and ends with.
        decoded: ``[rows, columns, ...]``, from the first to the second in equal steps.
        numbers: of the originals, ``[rows, 2]``; None leaves the rows without names.
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
    if numbers is not None:
        axes.set_yticks(panels.centres(rows, height), [f"{one} to {other}" for one, other in numbers])
    axes.tick_params(length=0)
    axes.set(title=title, xlabel="weight of the right image's latent", ylabel="" if numbers is None else numbered)
    return figure


def traversal(decoded: Array, values: Array, names: Sequence[str], title: str, unit: str = UNIT) -> Figure:
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
    axes.set(title=title, xlabel=f"value of the coordinate {unit}".strip())
    return figure


def losses(rows: Sequence[Row], title: str) -> Figure:
    """What is minimized and its two parts per epoch, of those that the rows have, see `panels.losses`."""
    curves = [curve for curve in panels.CURVES if f"train_{curve.name}" in rows[0]]
    figure = Figure(figsize=(4.0 * len(curves), 4.0), layout="constrained")
    figure.suptitle(title, fontsize="large")
    for axes, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        panels.losses(axes, rows, curve)
        axes.set_ylabel(f"{curve.quantity} (nats per image)")
        axes.legend()
    return figure


def bars(values: Array, title: str, *, xlabel: str, ylabel: str) -> Figure:
    """A bar for each of ``[count]`` values, the largest first, under its number."""
    order = np.argsort(-values, kind="stable")
    figure = Figure(figsize=(min(2.5 + 0.3 * len(values), 12.0), 4.0), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(values)), values[order], width=0.8)
    # At most so many numbers are legible.
    shown = arrays.spread(len(values), 32)
    axes.set_xticks(shown, [str(order[place]) for place in shown], fontsize="small")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.25, axis="y")
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
