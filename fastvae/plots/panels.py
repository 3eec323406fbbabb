"""One pair of axes from arrays: grids of images, the latent, a loss curve.

Images are ``[count, height, width]`` in [0, 1], or ``[count, height, width, channels]``, see `arrays`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter, MaxNLocator
from PIL import Image

from fastvae.plots.arrays import UNIT, Array
from fastvae.plots.rows import Row, kept

_GAP: Final = 1  # white between the images of a grid, in pixels of theirs
_DISTINCT: Final = 10  # colours, of labels from 0
_LEGIBLE: Final = 28  # pixels of a side from which on a digit is drawn as it is


def smoothed(images: Array, lead: int) -> Array:
    """Images as they are looked at: enlarged by a whole factor where they are smaller than MNIST's, opaque on white.

    By cubic convolution (Keys 1981), each image by itself, on a black page of a pixel more at every side: strokes of
    eight squares a side that reach to the next image are hard to see.

    Args:
        images: ``[..., height, width]``, or with channels after them.
        lead: how many dimensions are before the height.
    """
    *counts, height, width = images.shape[: lead + 2]
    channels = images.shape[lead + 2 :]
    if channels == (4,):
        opacity = images[..., 3:]
        return smoothed(images[..., :3] * opacity + (1 - opacity), lead)
    factor = -(-_LEGIBLE // min(height, width))
    if factor <= 1:
        return images
    if channels:
        return np.stack([smoothed(images[..., channel], lead) for channel in range(*channels)], -1)
    pages = np.pad(images.reshape(-1, height, width).astype(np.float32), ((0, 0), (1, 1), (1, 1)))
    size = (factor * (width + 2), factor * (height + 2))
    enlarged = [np.asarray(Image.fromarray(page).resize(size, Image.Resampling.BICUBIC)) for page in pages]
    # Cubic convolution overshoots at edges.
    return np.stack(enlarged).clip(0, 1).reshape(*counts, size[1], size[0])


def tile(images: Array, columns: int) -> Array:
    """One ``[height, width, ...]`` picture of `images` in rows of `columns`, with NaN (drawn white) between them."""
    count, height, width, *channels = images.shape
    rows = -(-count // columns)
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, *channels)
    canvas = np.full(shape, np.nan, dtype=np.float32)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + _GAP), (index % columns) * (width + _GAP)
        canvas[top : top + height, left : left + width] = image
    return canvas


def centres(count: int, size: int) -> list[float]:
    """Where the middles of `count` rows or columns of `size` pixels lie in a tiled picture."""
    return [index * (size + _GAP) + size / 2 - 0.5 for index in range(count)]


def show(axes: Axes, picture: Array) -> None:
    """A tiled picture, pixel by pixel, without a frame."""
    if picture.ndim == 3:
        picture = np.nan_to_num(picture, nan=1.0).clip(0, 1)
    cmap = colormaps["gray"].with_extremes(bad="white")
    axes.imshow(picture, cmap=cmap, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def reconstructions(axes: Axes, originals: Array, reconstructed: Array, columns: int) -> None:
    """A row of originals, their reconstructions under them; at most `columns` of each."""
    # Of a row that is not full, the rest is white.
    rest = [(0, columns - len(originals)), *[(0, 0)] * (originals.ndim - 1)]
    rows = [np.pad(images.astype(np.float32), rest, constant_values=np.nan) for images in (originals, reconstructed)]
    show(axes, tile(np.concatenate(rows), columns))
    axes.set_yticks(centres(2, originals.shape[1]), ["original", "reconstruction"])
    axes.tick_params(length=0)


def scatter(axes: Axes, points: Array, labels: Array | None, axis_names: tuple[str, str]) -> None:
    """Points of ``[count, 2]``, coloured by label, or all alike."""
    # Many points need smaller, fainter dots to show where they are dense.
    size, alpha = (24.0, 0.9) if len(points) < 2000 else (5.0, 0.6)
    # In one call, in the order of the data: no label is drawn over the others.
    colours = colormaps["tab10"](0) if labels is None else _colours(labels).to_rgba(labels)
    axes.scatter(points[:, 0], points[:, 1], size, color=colours, alpha=alpha, linewidths=0)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    axes.grid(alpha=0.25)


def name_labels(axes: Axes, labels: Array | None) -> None:
    """What the colours of `scatter` mean, to its right: a dot for each label; of more than ten, a colour bar."""
    if labels is None:
        return
    if _many(labels):
        axes.figure.colorbar(_colours(labels), ax=axes, label="label", ticks=MaxNLocator(integer=True))
        return
    options: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5.5, "markeredgewidth": 0}
    axes.legend(
        handles=[Line2D([], [], color=colormaps["tab10"](one), label=str(one), **options) for one in np.unique(labels)],
        title="label",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        handletextpad=0.2,
    )


def _many(labels: Array) -> bool:
    """More than anyone tells apart by distinct colours."""
    return bool(labels.max() >= _DISTINCT)


def _colours(labels: Array) -> ScalarMappable:
    if _many(labels):
        return ScalarMappable(Normalize(0, labels.max()), "turbo")
    return ScalarMappable(Normalize(0, _DISTINCT - 1), "tab10")


def manifold(axes: Axes, images: Array, coordinates: Array) -> None:
    """Decoded grid of a 2-D latent; `images` by row from the top, `coordinates` the values of z along each axis."""
    side = len(coordinates)
    _, height, width, *_ = images.shape
    show(axes, tile(images, side))
    # An even number of ticks is symmetric about the middle of an even side.
    shown = np.linspace(0, side - 1, 6).round().astype(int)
    across, down = centres(side, width), centres(side, height)
    names = [Formatter.fix_minus(f"{coordinates[index]:.2f}") for index in shown]
    axes.set_xticks([across[index] for index in shown], names)
    axes.set_yticks([down[side - 1 - index] for index in shown], names)
    axes.set(xlabel=f"$z_0$ {UNIT}", ylabel=f"$z_1$ {UNIT}")


class Curve(NamedTuple):
    """A quantity of metrics.csv, in nats per image: its columns ``train_name`` and ``test_name``."""

    quantity: str
    name: str


CURVES: Final = (
    Curve("loss as minimized", "loss"),
    Curve("reconstruction, $-\\log p(x|z)$", "reconstruction"),
    Curve("KL$(q(z|x)\\,\\|\\,p(z))$", "kl"),
)


def losses(axes: Axes, rows: Sequence[Row], curve: Curve) -> None:
    """One quantity per epoch, train and test, and validation where it is measured; with the epoch that is kept."""
    epochs = [int(row["epoch"]) for row in rows]
    for part in ("train", "test", "validation"):
        name = f"{part}_{curve.name}"
        if name in rows[0]:
            values = [row[name] for row in rows]
            axes.plot(epochs, values, label=part, marker="o" if len(epochs) < 25 else None, markersize=3.5)
    if "validation_loss" in rows[0]:
        axes.axvline(kept(rows), color="0.5", linestyle=":", label="weights kept", zorder=0)
    axes.set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.25)
