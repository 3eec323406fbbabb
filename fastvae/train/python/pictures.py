"""The pictures of a `fastvae.fit`: its losses, and what a model of the library makes of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from fastvae import CVAE, VAE, plots
from fastvae.plots import arrays, figures
from fastvae.train.pictures import saved
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch

# Samples that are reconstructed; how many of them are drawn.
SHOWN: Final = 500
_RECONSTRUCTIONS: Final = 20


@torch.no_grad()
def draw(folder: RunFolder, model: nn.Module, batch: tuple[Tensor, ...], history: Sequence[Epoch], seed: int) -> None:
    """Draw every picture into the folder.

    Args:
        folder: of the fit.
        model: in eval mode.
        batch: what it takes, at most `SHOWN` samples, of the data held out where there is some.
        history: of the fit.
        seed: of the noise.
    """
    saved.save(plots.losses(history, title=type(model).__name__), folder.path / "losses.png")
    for name, figure in _of_images(model, batch, seed):
        saved.save(figure, folder.path / name)


def _of_images(model: nn.Module, batch: tuple[Tensor, ...], seed: int) -> Iterator[tuple[str, Figure]]:
    name = type(model).__name__
    if isinstance(model, VAE):
        x = batch[0]
        if model.encode(x[:1]).mean.dim() == 2:
            yield "latent.png", plots.latent(model, x, title=f"Posterior means\n{name}")
        reconstructed = model.reconstruct(x[:_RECONSTRUCTIONS])
        if _drawable(batch[-1]) and _drawable(reconstructed):
            yield "reconstructions.png", _beside(batch[-1], reconstructed, f"Images and their reconstructions\n{name}")
            yield "samples.png", plots.samples(model, seed=seed, title=f"Samples from the prior\n{name}")
    elif isinstance(model, CVAE):
        condition, target = batch[:2]
        predicted = model.predict(condition[:_RECONSTRUCTIONS])
        if _drawable(target) and _drawable(predicted):
            yield "predictions.png", _beside(target, predicted, f"Targets and what is predicted of them\n{name}")


def _beside(images: Tensor, others: Tensor, title: str) -> Figure:
    return figures.reconstructions(arrays.images(images[:_RECONSTRUCTIONS]), arrays.images(others), title)


def _drawable(values: object) -> bool:
    """Whether these are images: bytes, or numbers from 0, black, to 1."""
    if not isinstance(values, Tensor) or not arrays.drawable(values.shape[1:]):
        return False
    return values.dtype == torch.uint8 or bool((values >= 0).all() and (values <= 1).all())
