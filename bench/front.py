"""Draw the first picture of README.md: ``python -m bench.front`` trains for it, and reads the results."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

import fastvae
from bench import ROOT, plot
from bench.results import Row, latest_file, newest
from bench.table import comparisons
from fastvae.plots import arrays, panels
from fastvae.train.data import datasets

PICTURE: Final = ROOT / "docs" / "pictures" / "front.png"
_OPTIONS: Final = ("--latent-dim", "2")
_STEPS: Final = {
    "MLP": "mlp_step 128x1x28x28",
    "convolutional": "conv_step 64x3x64x64",
    "single cells": "scvi_step 128x2000",
    "mixture prior": "mixture_step 128x784",
    "beta-TC": "beta_tc_step 1024x784",
}


def picture(run: Path, cpu: Sequence[Row]) -> Figure:
    """Digits decoded over the latent plane of `run`, the test images in it, and the steps of several models."""
    model = fastvae.load(run)
    assert isinstance(model, fastvae.VAE)
    test = datasets.load_part("digits", None, "test")
    with torch.no_grad():
        _, grid = arrays.manifold(model, torch.device("cpu"))
        points, _ = arrays.plane([model.encode(images) for images, _ in test.batches()])
    labels = test.labels.numpy()
    # Of the grid a quarter, so that digits are large enough to be told at the width of a page.
    made = arrays.images(grid[::2, ::2].flatten(0, 1))
    figure = Figure(figsize=(9.6, 3.3), layout="constrained")
    digits, latent, steps = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    panels.show(digits, panels.tile(panels.smoothed(made, 1), math.isqrt(len(made))))
    panels.scatter(latent, points, labels, ("", ""))
    for label in np.unique(labels):
        text = latent.text(*np.median(points[labels == label], 0), str(label), ha="center", va="center", fontsize=15)
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    latent.set(xticks=[], yticks=[], box_aspect=1)
    for axes, title in ((digits, "digits across a 2-D latent"), (latent, "test images in it, by label")):
        axes.set_title(title, fontsize=12)
    _steps(steps, cpu)
    return figure


def _steps(axes: Axes, cpu: Sequence[Row]) -> None:
    """Bars: time of a training step over eager PyTorch's."""
    lines = {line.name: line for line in comparisons(cpu)}
    # Not every machine has measured all of them yet.
    eager = {name: lines[case].row("eager") for name, case in _STEPS.items() if case in lines}
    shares = {name: 1 / row.ratio for name, row in eager.items() if row is not None and row.ratio}
    places = range(len(shares))
    axes.barh(places, [1] * len(shares), height=0.7, color="0.88", label="eager PyTorch")
    axes.barh(places, list(shares.values()), height=0.7, color=plot.WINS, label="fastvae")
    for place, share in zip(places, shares.values(), strict=True):
        axes.text(share - 0.02, place, f"{share:.0%}", va="center", ha="right", color="white", fontsize=11)
    axes.set_yticks(places, list(shares), fontsize=11)
    axes.set(xlim=(0, 1.02), ylim=(len(shares) - 0.5, -0.5), xticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title("time of a training step\n(eager PyTorch: 100 %)", fontsize=12)


@click.command()
@click.option("--run", type=click.Path(path_type=Path, file_okay=False), help="A run with such a latent; else trains.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=PICTURE, help="[default: docs/pictures]"
)
def main(run: Path | None, out: Path) -> None:
    """Draw the first picture of README.md: of digits in a latent of two dimensions, and of the newest results."""
    with tempfile.TemporaryDirectory() as folder:
        if run is None:
            run = Path(folder) / "run"
            subprocess.run([sys.executable, "-m", "fastvae", "train", *_OPTIONS, "--out", str(run)], check=True)
        plot.save(picture(run, newest(latest_file())), out)
    click.echo(str(out))


if __name__ == "__main__":
    main()
