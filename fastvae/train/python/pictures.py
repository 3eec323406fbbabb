"""The pictures of a `fastvae.fit`: its losses, and what a model of the library makes of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae.train.pictures import arrays, figures
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch

# Samples that are reconstructed; how many of a latent and from the prior are drawn.
SHOWN: Final = 500
_RECONSTRUCTIONS: Final = 20
_SAMPLES: Final = 64


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
    figures.save(figures.losses(history, type(model).__name__), folder.path / "losses.png")
    for name, figure in _of_images(model, batch, seed):
        figures.save(figure, folder.path / name)


def _of_images(model: nn.Module, batch: tuple[Tensor, ...], seed: int) -> Iterator[tuple[str, Figure]]:
    name = type(model).__name__
    if isinstance(model, VAE):
        x = batch[0]
        posterior = model.encode(x)
        if posterior.mean.dim() == 2:
            points, axes = arrays.plane([posterior])
            yield "latent.png", figures.latent(points, None, f"Posterior means\n{name}", axes)
        reconstructed = model.reconstruct(x[:_RECONSTRUCTIONS])
        if _drawable(batch[-1]) and _drawable(reconstructed):
            yield "reconstructions.png", _beside(batch[-1], reconstructed, f"Images and their reconstructions\n{name}")
            samples = arrays.images(model.sample(_SAMPLES, seed=seed))
            yield "samples.png", figures.sample_grid(samples, f"Samples from the prior\n{name}")
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
