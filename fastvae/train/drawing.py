"""The pictures of a run: what its model makes of the test images and of the latent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastvae import VAE, DiagonalGaussian
from fastvae.train import conditional_drawing, latent_use, panels, pictures, views
from fastvae.train.config import Config
from fastvae.train.data import Split
from fastvae.train.metrics import Epoch
from fastvae.train.model import create, load_weights
from fastvae.train.objectives import Model
from fastvae.train.run_folder import RunFolder

_RECONSTRUCTIONS: Final = 20
_SAMPLES: Final = 64
_INTERPOLATION_COLUMNS: Final = 10
_TRAVERSAL_ROWS: Final = 10
_TRAVERSAL_STEPS: Final = 5  # to either side of zero
_TRAVERSAL_END: Final = 3.0  # prior standard deviations
_ANIMATION: Final = "samples.gif"
_FRAME_SAMPLES: Final = 16
_FRAME_COLUMNS: Final = 4


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
        drawn = panels.smoothed(views.images(vae.sample(_FRAME_SAMPLES, seed=config.seed)))
        grids.append(panels.tile(drawn, _FRAME_COLUMNS))
    return grids


def _figures(config: Config, model: VAE, test: Split, history: list[Epoch]) -> Iterator[tuple[str, Figure]]:
    run = f"{config.data}, {config.model}, latent dimension {config.latent_dim}"
    chosen = test.images[views.one_of_each(test.labels)[:_RECONSTRUCTIONS]]
    reconstructed = model.reconstruct(chosen)
    yield (
        "reconstructions.png",
        pictures.reconstructions(
            views.images(chosen), views.images(reconstructed), f"Test images and their reconstructions\n{run}"
        ),
    )
    samples = model.sample(_SAMPLES, seed=config.seed)
    yield "samples.png", pictures.sample_grid(views.images(samples), f"Samples from the prior\n{run}")
    posteriors = views.posteriors(model, test.images)
    points, axis_names = views.plane(posteriors)
    yield (
        "latent.png",
        pictures.latent(points, test.labels.cpu().numpy(), f"Posterior means of the test images\n{run}", axis_names),
    )
    if config.latent_dim == 2:
        quantiles, decoded = views.manifold(model, test.images.device)
        title = f"Decoded latent at normal quantiles 0.05 to 0.95\n{run}"
        yield "manifold.png", pictures.manifold(decoded, quantiles, title)
    yield "interpolation.png", _interpolation(model, test, run)
    yield "traversal.png", _traversal(model, test, posteriors, run)
    yield "losses.png", pictures.losses(history, run)


def _interpolation(model: VAE, test: Split, run: str) -> Figure:
    """From the first image of each label to that of the next label, and from the last one's back to the first."""
    first = views.first_of_each(test.labels)
    pairs = torch.stack((first, first.roll(-1)), 1)
    starts, ends = (model.encode(test.images[pairs[:, side]]).mean for side in range(2))
    return pictures.interpolation(
        np.stack([views.images(test.images[pair]) for pair in pairs]),
        views.interpolations(model, starts, ends, _INTERPOLATION_COLUMNS),
        test.labels[pairs].cpu().numpy(),
        f"Decoded on the line between posterior means of test images\n{run}",
    )


def _traversal(model: VAE, test: Split, posteriors: Sequence[DiagonalGaussian], run: str) -> Figure:
    """The dimensions with the most KL, from the posterior mean of the first test image."""
    kl = latent_use.measure((posterior, None) for posterior in posteriors).kl_per_dimension
    used = sorted(range(len(kl)), key=lambda dimension: -kl[dimension])[:_TRAVERSAL_ROWS]
    mean = posteriors[0].mean[0]
    # Not linspace, whose middle is not quite zero.
    steps = torch.arange(-_TRAVERSAL_STEPS, _TRAVERSAL_STEPS + 1, device=mean.device)
    values = steps * (_TRAVERSAL_END / _TRAVERSAL_STEPS)
    return pictures.traversal(
        views.traversals(model, mean, used, values),
        values.cpu().numpy(),
        [f"$z_{{{dimension}}}$   KL {kl[dimension]:.2f} nats" for dimension in used],
        f"One coordinate changed from a test image's posterior mean\n{run}",
    )
