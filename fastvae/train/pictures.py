"""Figures from arrays: grids of images, the latent, the loss curves.

Images are ``[count, height, width]`` in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from fastvae.train import atomic
from fastvae.train.metrics import Epoch

Array = NDArray[Any]

_DPI: Final = 150
_ZOOM: Final = 3
_FRAME_MS: Final = 400
_GAP: Final = 1.0  # white between the images of a grid, in pixels of theirs


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG. Without pyplot, so that no window system or global state is involved."""
    FigureCanvasAgg(figure)
    atomic.write(path, lambda temporary: figure.savefig(temporary, dpi=_DPI))


def tile(images: Array, columns: int) -> Array:
    """One ``[height, width]`` picture of `images` in rows of `columns`, with NaN (drawn white) between them."""
    count, height, width = images.shape
    rows = -(-count // columns)
    gap = int(_GAP)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan, dtype=np.float32)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def animation(frames: Sequence[Array], path: Path) -> None:
    """Write grids of images, one after the other, as a GIF that begins anew."""
    first, *others = map(_page, frames)

    def writer(file: Path) -> None:
        first.save(file, format="GIF", save_all=True, append_images=others, duration=_FRAME_MS, loop=0)

    atomic.write(path, writer)


def _page(frame: Array) -> Image.Image:
    """A grid enlarged, white where it has gaps."""
    page = Image.fromarray((255 * np.nan_to_num(frame, nan=1.0)).clip(0, 255).astype(np.uint8))
    return page.resize((_ZOOM * page.width, _ZOOM * page.height), Image.Resampling.NEAREST)


def _show(axes: Axes, picture: Array) -> None:
    cmap = colormaps["gray"].with_extremes(bad="white")
    axes.imshow(picture, cmap=cmap, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def sample_grid(images: Array, title: str) -> Figure:
    """Images in a grid that is about square."""
    columns = max(1, round(len(images) ** 0.5))
    picture = tile(images, columns)
    scale = 6.0 / max(picture.shape)
    figure = Figure(figsize=(max(picture.shape[1] * scale, 3.0), picture.shape[0] * scale + 0.5), layout="constrained")
    axes = figure.subplots()
    _show(axes, picture)
    axes.set_title(title)
    return figure


def reconstructions(originals: Array, reconstructed: Array, title: str, columns: int = 10) -> Figure:
    """Rows of `columns` originals, their reconstructions under them."""
    blocks = range(0, len(originals), columns)
    figure = Figure(figsize=(8.0, 1.5 * len(blocks) + 0.6), layout="constrained")
    figure.suptitle(title, fontsize="large")
    height = originals.shape[1]
    for axes, start in zip(figure.subplots(len(blocks), 1, squeeze=False)[:, 0], blocks, strict=True):
        pair = (originals[start : start + columns], reconstructed[start : start + columns])
        picture = tile(np.concatenate(pair), columns)
        _show(axes, picture)
        axes.set_yticks([height / 2 - 0.5, height * 1.5 + 0.5], ["original", "reconstruction"])
        axes.tick_params(length=0)
    return figure


def latent(points: Array, labels: Array, title: str, axis_names: tuple[str, str]) -> Figure:
    """Scatter of ``[count, 2]`` points, coloured by label."""
    figure = Figure(figsize=(7.0, 6.0), layout="constrained")
    axes = figure.subplots()
    # Many points need smaller, fainter dots to show where they are dense.
    size, alpha = (24.0, 0.9) if len(points) < 2000 else (5.0, 0.6)
    # In one call, in the order of the data: no label is drawn over the others.
    colours = colormaps["tab10"](labels % 10)
    axes.scatter(points[:, 0], points[:, 1], size, color=colours, alpha=alpha, linewidths=0)
    for label in np.unique(labels):
        axes.scatter([], [], 30.0, color=colormaps["tab10"](label % 10), linewidths=0, label=str(label))
    axes.set(title=title, xlabel=axis_names[0], ylabel=axis_names[1])
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.25)
    axes.legend(title="label", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handletextpad=0.2)
    return figure


def manifold(images: Array, coordinates: Array, title: str) -> Figure:
    """Decoded grid of a 2-D latent; `images` by row from the top, `coordinates` the values of z along each axis."""
    side = len(coordinates)
    _, height, width = images.shape
    figure = Figure(figsize=(7.0, 7.0 * height / width), layout="constrained")
    axes = figure.subplots()
    _show(axes, tile(images, side))
    # An even number of ticks lies evenly about the middle of an even side.
    shown = np.linspace(0, side - 1, 6).round().astype(int)
    names = [Formatter.fix_minus(f"{coordinates[index]:.2f}") for index in shown]
    axes.set_xticks([index * (width + _GAP) + width / 2 - 0.5 for index in shown], names)
    axes.set_yticks([(side - 1 - index) * (height + _GAP) + height / 2 - 0.5 for index in shown], names)
    axes.set(title=title, xlabel="$z_1$ (prior standard deviations)", ylabel="$z_2$ (prior standard deviations)")
    return figure


_CURVES: Final = (
    ("negative ELBO", "elbo", -1.0),
    ("reconstruction, $-\\log p(x|z)$", "reconstruction", 1.0),
    ("KL$(q(z|x)\\,\\|\\,p(z))$", "kl", 1.0),
)


def losses(history: Sequence[Epoch], title: str) -> Figure:
    """Negative ELBO and its two parts per epoch, train and test."""
    figure = Figure(figsize=(12.0, 4.0), layout="constrained")
    figure.suptitle(title, fontsize="large")
    epochs = [row.epoch for row in history]
    for axes, (quantity, name, sign) in zip(figure.subplots(1, len(_CURVES)), _CURVES, strict=True):
        for part in ("train", "test"):
            values = [sign * getattr(row, f"{part}_{name}") for row in history]
            axes.plot(epochs, values, label=part, marker="o" if len(epochs) < 25 else None, markersize=3.5)
        axes.set(xlabel="epoch", ylabel=f"{quantity} (nats per image)", xlim=(0.5, len(epochs) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axes.grid(alpha=0.25)
        axes.legend()
    return figure


def grid(groups: Sequence[tuple[str, Array]], row_names: Sequence[str], title: str) -> Figure:
    """Rows of images in named groups of columns.

    Args:
        groups: a name and its images ``[rows, columns, height, width]``, from left to right.
        row_names: one for each row, or none.
        title: of the figure.
    """
    rows, _, height, width = groups[0][1].shape
    counts = [images.shape[1] for _, images in groups]
    figure = Figure(figsize=(0.62 * sum(counts) + 1.2, 0.62 * rows + 1.3), layout="constrained")
    figure.suptitle(title, fontsize="large")
    for axes, (name, images) in zip(
        figure.subplots(1, len(groups), width_ratios=counts, squeeze=False)[0], groups, strict=True
    ):
        _show(axes, tile(images.reshape(-1, height, width), images.shape[1]))
        axes.set_title(name, fontsize="medium")
    first = figure.axes[0]
    first.set_yticks([row * (height + _GAP) + height / 2 - 0.5 for row in range(len(row_names))], row_names)
    first.tick_params(length=0)
    return figure
