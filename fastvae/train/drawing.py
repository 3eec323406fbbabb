"""The pictures of a run: what its model makes of the test images and of the latent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from fastvae import VAE
from fastvae.train import conditional_drawing, pictures
from fastvae.train.config import Config
from fastvae.train.data import Split
from fastvae.train.metrics import Epoch
from fastvae.train.model import create, load_weights
from fastvae.train.objectives import Model
from fastvae.train.run_folder import RunFolder

_RECONSTRUCTIONS: Final = 20
_SAMPLES: Final = 64
_MANIFOLD_SIDE: Final = 20
_ANIMATION: Final = "samples.gif"
_FRAME_SAMPLES: Final = 16
_FRAME_COLUMNS: Final = 4
_BATCH: Final = 500


def draw(folder: RunFolder, config: Config, model: Model, test: Split, history: list[Epoch]) -> list[str]:
    """Draw every picture of a run into its folder; returns their file names."""
    model.eval()
    names = []
    with torch.no_grad():
        if isinstance(model, VAE):
            figures = _figures(config, model, test, history)
        else:
            figures = conditional_drawing.figures(config, model, test, history)
        for name, figure in figures:
            pictures.save(figure, folder.path / name)
            names.append(name)
        if config.keep_weights and isinstance(model, VAE):
            pictures.animation(_grids_of_epochs(folder, config, len(history)), folder.path / _ANIMATION)
            names.append(_ANIMATION)
    return names


def _grids_of_epochs(folder: RunFolder, config: Config, epochs: int) -> list[NDArray[Any]]:
    """What the model of each epoch decoded the same latents to."""
    vae, grids = create(config).eval(), []
    assert isinstance(vae, VAE)
    for epoch in range(1, epochs + 1):
        load_weights(vae, folder, epoch)
        grids.append(pictures.tile(images(vae.sample(_FRAME_SAMPLES, seed=config.seed)), _FRAME_COLUMNS))
    return grids


def images(values: Tensor) -> NDArray[Any]:
    """``[count, 1, height, width]`` in [0, 1], or uint8, as an array of ``[count, height, width]`` in [0, 1]."""
    array: NDArray[Any] = values[:, 0].float().cpu().numpy()
    return array / 255 if values.dtype == torch.uint8 else array


def _figures(config: Config, model: VAE, test: Split, history: list[Epoch]) -> Iterator[tuple[str, Figure]]:
    run = f"{config.data}, {config.model}, latent dimension {config.latent_dim}"
    chosen = test.images[_one_of_each(test.labels)[:_RECONSTRUCTIONS]]
    reconstructed = model.reconstruct(chosen)
    yield (
        "reconstructions.png",
        pictures.reconstructions(
            images(chosen), images(reconstructed), f"Test images and their reconstructions\n{run}"
        ),
    )
    samples = model.sample(_SAMPLES, seed=config.seed)
    yield "samples.png", pictures.sample_grid(images(samples), f"Samples from the prior\n{run}")
    means, stds = _posterior(model, test.images)
    points, axis_names = _plane(means, stds)
    yield (
        "latent.png",
        pictures.latent(points, test.labels.cpu().numpy(), f"Posterior means of the test images\n{run}", axis_names),
    )
    if config.latent_dim == 2:
        quantiles, decoded = _manifold(model, test.images.device)
        title = f"Decoded latent at normal quantiles 0.05 to 0.95\n{run}"
        yield "manifold.png", pictures.manifold(images(decoded), quantiles, title)
    yield "losses.png", pictures.losses(history, run)


def _one_of_each(labels: Tensor) -> Tensor:
    """The images' indices: the first of each label in the order of the labels, then the second of each, ..."""
    array = labels.cpu().numpy()
    rank = np.empty_like(array)
    for label in np.unique(array):
        where = array == label
        rank[where] = np.arange(where.sum())
    return torch.from_numpy(np.lexsort((array, rank))).to(labels.device)


def _posterior(model: VAE, test: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    posteriors = [model.encode(batch) for batch in test.split(_BATCH)]
    means, stds = (
        torch.cat([getattr(posterior, name) for posterior in posteriors]).double().cpu().numpy()
        for name in ("mean", "std")
    )
    return means, stds


def _plane(means: NDArray[Any], stds: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, str]]:
    """Two coordinates to draw each posterior at, and their names."""
    unit = "(prior standard deviations)"
    if means.shape[1] == 1:
        return np.hstack((means, stds)), (f"mean of $z$ {unit}", f"standard deviation of $z$ {unit}")
    if means.shape[1] == 2:
        return means, (f"$z_1$ {unit}", f"$z_2$ {unit}")
    centred = means - means.mean(0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    # A component's sign is arbitrary: the largest weight positive makes the picture the same everywhere.
    largest = np.abs(directions).argmax(1)
    directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
    share = 100 * singular**2 / max(float((singular**2).sum()), 1e-30)
    first, second = (f"principal component {index + 1}, {share[index]:.0f} % of variance\n{unit}" for index in range(2))
    return centred @ directions[:2].T, (first, second)


def _manifold(model: VAE, device: torch.device) -> tuple[NDArray[Any], Tensor]:
    levels = torch.linspace(0.05, 0.95, _MANIFOLD_SIDE, dtype=torch.float64)
    quantiles = torch.special.ndtri(levels).float()
    # Rows from the top: the largest z_2 first, as on paper.
    z2, z1 = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    decoded = model.decode(torch.stack((z1.flatten(), z2.flatten()), 1).to(device))
    return quantiles.numpy(), model.elbo.mean(decoded)
