"""Figures and animations as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fastvae.plots.arrays import Array
from fastvae.train.runs import atomic

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
