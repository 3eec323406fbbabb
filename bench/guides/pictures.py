"""The pictures of the guides, of the runs of seed 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from bench.guides.running import Run
from fastvae import CVAE, VAE, plots
from fastvae.plots import arrays, figures
from fastvae.train.pictures import saved

_VALUES: Final = torch.linspace(-3, 3, 9)
_COLOURS: Final = 64


class Picture(NamedTuple):
    """A file of docs/pictures.

    Attributes:
        study: whose runs it is of.
        settings: of these runs, keys of the study.
        draw: from the runs, in the order of `settings`.
    """

    study: str
    settings: tuple[str, ...]
    draw: Callable[[Sequence[Run]], Figure]


def save(figure: Figure, path: Path) -> None:
    """Write a picture in few colours: a third of the bytes, in a repository that keeps them all."""
    saved.save(figure, path)
    with Image.open(path) as image:
        fewer = image.convert("RGB").quantize(_COLOURS)
    fewer.save(path, optimize=True)


def _images(run: Run) -> Tensor:
    """One test image of each label."""
    return run.test.images[arrays.first_of_each(run.test.labels)]


@torch.no_grad()
def reconstructions(runs: Sequence[Run], names: Sequence[str], title: str) -> Figure:
    """A row of test images, and a row of what each model makes of them."""
    originals = _images(runs[0])
    rows = [originals.float() / 255]
    for run in runs:
        assert isinstance(run.model, VAE)
        rows.append(run.model.reconstruct(originals))
    return figures.grid([("", arrays.images(torch.stack(rows)))], ["original", *names], title)


def kl_per_dimension(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    """The KL of each dimension of the latent, the greatest first, a panel for each run."""
    figure = Figure(figsize=(3.0 * len(runs), 2.6), layout="constrained")
    panels = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for axes, run, name in zip(panels, runs, names, strict=True):
        values = sorted(run.found["kl_per_dimension"], reverse=True)
        axes.bar(range(len(values)), values)
        axes.set(title=name, xlabel="dimension of the latent, sorted")
    panels[0].set_ylabel("KL (nats per image)")
    return figure


@torch.no_grad()
def digits_by_label(run: Run) -> Figure:
    """A row for each label; a column is the same latent."""
    assert isinstance(run.model, CVAE)
    return plots.samples(run.model, 10, torch.eye(10), names=range(10), title="each column the same latent")


@torch.no_grad()
def traversals(runs: Sequence[Run], names: Sequence[str]) -> Figure:
    """For each run the dimensions with the greatest KL, each from -3 to 3 with the others at an image's means."""
    groups = []
    for run, name in zip(runs, names, strict=True):
        assert isinstance(run.model, VAE)
        use = torch.tensor(run.found["kl_per_dimension"])
        dimensions = use.argsort(descending=True)[:6].tolist()
        mean = run.model.encode(_images(run)[3:4]).mu[0]
        groups.append((name, arrays.images(arrays.traversals(run.model, mean, dimensions, _VALUES))))
    return figures.grid(groups, [f"KL no. {rank}" for rank in range(1, 7)], "")


def _betas(runs: Sequence[Run]) -> Figure:
    return reconstructions(runs, [f"beta {run.config.beta:g}" for run in runs], "")


def _likelihoods(runs: Sequence[Run]) -> Figure:
    return reconstructions(runs, [run.config.likelihood for run in runs], "")


PICTURES: Final[dict[str, Picture]] = {
    "guide-beta.png": Picture("betas", ("--beta 0.1", "--beta 1", "--beta 4", "--beta 16"), _betas),
    "guide-likelihoods.png": Picture(
        "likelihoods", ("--likelihood gaussian", "--likelihood gaussian_learned", "--likelihood bernoulli"),
        _likelihoods,
    ),
    "guide-collapse.png": Picture(
        "collapse",
        ("", "--free-bits 0.5 --free-bits-per batch_dimension", "--likelihood gaussian"),
        lambda runs: kl_per_dimension(runs, ("as it is", "free bits of 0.5", "fixed scale")),
    ),
    "guide-conditional.png": Picture("conditional", ("",), lambda runs: digits_by_label(runs[0])),
    "guide-traversals.png": Picture(
        "disentanglement",
        ("", "--beta 4"),
        lambda runs: traversals(runs, ("beta 1", "beta 4")),
    ),
}  # fmt: skip
