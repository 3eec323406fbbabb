"""The pictures of a run: what its model makes of the test images and of the latent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from fastvae import CVAE, VAE, DiagonalGaussian
from fastvae.train.data.conditions import Conditioning, Label
from fastvae.train.data.datasets import Split
from fastvae.train.evaluation import latent_use
from fastvae.train.models.build import Model, conditioning, create
from fastvae.train.models.conditional import Baseline
from fastvae.train.pictures import arrays, figures, panels
from fastvae.train.pictures.arrays import Array
from fastvae.train.runs import weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings import architecture
from fastvae.train.settings.config import Config

_RECONSTRUCTIONS: Final = 20
_SAMPLES: Final = 64
_INTERPOLATION_COLUMNS: Final = 10
_TRAVERSAL_ROWS: Final = 10
_TRAVERSAL_STEPS: Final = 5  # to either side of zero
_TRAVERSAL_END: Final = 3.0  # prior standard deviations
_COMPLETED: Final = 12
_LABELS: Final = 20
_ANIMATION: Final = "samples.gif"
_FRAME_SAMPLES: Final = 16
_FRAME_COLUMNS: Final = 4


def draw(folder: RunFolder, config: Config, model: Model, test: Split, history: list[Epoch]) -> list[str]:
    """Draw every picture of a run into its folder; returns their file names.

    Of samples that are no images only the latent and the losses are drawn; of a spatial latent no plane of it and no
    single coordinate.
    """
    model.eval()
    names = []
    with torch.no_grad():
        if isinstance(model, VAE):
            drawn = _of_vae(config, model, test, history)
        else:
            drawn = of_conditional(config, model, test, history)
        for name, figure in drawn:
            figures.save(figure, folder.path / name)
            names.append(name)
        if config.keep_weights and isinstance(model, VAE) and arrays.drawable(config.shape):
            figures.animation(_grids_of_epochs(folder, config, len(history)), folder.path / _ANIMATION)
            names.append(_ANIMATION)
    return names


def note(config: Config) -> str | None:
    """One line where a run has fewer pictures because of its data; None where it has them all."""
    if arrays.drawable(config.shape):
        return None
    return f"{arrays.not_images(config.shape)}: pictures of the latent and the losses only"


def _grids_of_epochs(folder: RunFolder, config: Config, epochs: int) -> list[Array]:
    """What the model of each epoch decoded the same latents to."""
    vae, grids = create(config).eval(), []
    assert isinstance(vae, VAE)
    for epoch in range(1, epochs + 1):
        weights.load(vae, folder, epoch)
        drawn = panels.smoothed(arrays.images(vae.sample(_FRAME_SAMPLES, seed=config.seed)), 1)
        grids.append(panels.tile(drawn, _FRAME_COLUMNS))
    return grids


def _of_vae(config: Config, model: VAE, test: Split, history: list[Epoch]) -> Iterator[tuple[str, Figure]]:
    subtitle = f"{config.data_name}, {config.model}, {architecture.latent(config)}"
    posteriors = [posterior for posterior, _ in latent_use.posteriors(model, config, test)]
    of_vectors = posteriors[0].mean.dim() == 2
    if arrays.drawable(config.shape):
        chosen = test.images[_shown(config, test)]
        yield "reconstructions.png", _reconstructions(chosen, model.reconstruct(chosen), subtitle)
        samples = model.sample(_SAMPLES, seed=config.seed)
        yield "samples.png", figures.sample_grid(arrays.images(samples), f"Samples from the prior\n{subtitle}")
    if of_vectors:
        yield "latent.png", _latent(config, posteriors, test, subtitle)
    if arrays.drawable(config.shape):
        if of_vectors and config.latent_dim == 2:
            quantiles, decoded = arrays.manifold(model, test.images.device)
            title = f"Decoded latent at normal quantiles 0.05 to 0.95\n{subtitle}"
            yield "manifold.png", figures.manifold(decoded, quantiles, title)
        yield "interpolation.png", _interpolation(config, model, test, subtitle)
        if of_vectors:
            yield "traversal.png", _traversal(model, posteriors, subtitle)
    yield "losses.png", figures.losses(history, subtitle)


def _shown(config: Config, test: Split) -> Tensor:
    """The indices of the test images whose reconstructions are drawn: of each label in turn, where there are labels."""
    order = arrays.one_of_each(test.labels) if config.labels else torch.arange(len(test.images))
    return order[:_RECONSTRUCTIONS]


def _reconstructions(chosen: Tensor, reconstructed: Tensor, subtitle: str) -> Figure:
    title = f"Test images and their reconstructions\n{subtitle}"
    return figures.reconstructions(arrays.images(chosen), arrays.images(reconstructed), title)


def _latent(config: Config, posteriors: Sequence[DiagonalGaussian], test: Split, subtitle: str) -> Figure:
    points, axis_names = arrays.plane(posteriors)
    labels = test.labels.cpu().numpy() if config.labels else None
    return figures.latent(points, labels, f"Posterior means of the test data\n{subtitle}", axis_names)


def _interpolation(config: Config, model: VAE, test: Split, subtitle: str) -> Figure:
    """From one example to the next, and from the last one back to the first."""
    first = arrays.examples(test, config.labels)
    pairs = torch.stack((first, first.roll(-1)), 1)
    starts, ends = (model.encode(test.images[pairs[:, side]]).mean for side in range(2))
    return figures.interpolation(
        np.stack([arrays.images(test.images[pair]) for pair in pairs]),
        arrays.interpolations(model, starts, ends, _INTERPOLATION_COLUMNS),
        (test.labels[pairs] if config.labels else pairs).cpu().numpy(),
        f"Decoded on the line between posterior means of test images\n{subtitle}",
        numbered="labels" if config.labels else "test images",
    )


def _traversal(model: VAE, posteriors: Sequence[DiagonalGaussian], subtitle: str) -> Figure:
    """The dimensions with the most KL, from the posterior mean of the first test image."""
    kl = latent_use.measure((posterior, None) for posterior in posteriors).kl_per_dimension
    used = sorted(range(len(kl)), key=lambda dimension: -kl[dimension])[:_TRAVERSAL_ROWS]
    mean = posteriors[0].mean[0]
    # Not linspace, whose middle is not quite zero.
    steps = torch.arange(-_TRAVERSAL_STEPS, _TRAVERSAL_STEPS + 1, device=mean.device)
    values = steps * (_TRAVERSAL_END / _TRAVERSAL_STEPS)
    return figures.traversal(
        arrays.traversals(model, mean, used, values),
        values.cpu().numpy(),
        [f"$z_{{{dimension}}}$   KL to N(0, 1) {kl[dimension]:.2f} nats" for dimension in used],
        f"One coordinate changed from a test image's posterior mean\n{subtitle}",
    )


def of_conditional(
    config: Config, model: CVAE | Baseline, test: Split, history: list[Epoch]
) -> Iterator[tuple[str, Figure]]:
    """Every picture of a conditional run, with its file name."""
    subtitle = f"{config.data_name}, {config.objective}, {architecture.latent(config)}"
    conditioned = conditioning(config).to(test.images.device)
    if isinstance(conditioned, Label):
        if arrays.drawable(config.shape):
            yield "labels.png", _labels(config, model, conditioned, subtitle)
    else:
        images = test.images[:_COMPLETED]
        title = f"Completions from {config.quadrants} of 4 quadrants\n{subtitle}"
        groups, name = arrays.known_and_original(conditioned, images), "network"
        if isinstance(model, CVAE):
            groups, name = groups + arrays.predicted_completions(model, conditioned, images, config.seed), "samples"
        groups.append((name, arrays.completions(model, conditioned, images, config.seed)))
        yield "completions.png", figures.grid(groups, [], title)
    if isinstance(model, CVAE) and config.objective != "gsnn":
        yield from _of_recognition(config, model, conditioned, test, subtitle)
    yield "losses.png", figures.losses(history, subtitle)


def _labels(config: Config, model: CVAE | Baseline, conditioned: Label, subtitle: str) -> Figure:
    """Images for each label, or for some of many."""
    chosen = arrays.spread(conditioned.count, _LABELS)
    what = "each label" if len(chosen) == conditioned.count else f"{len(chosen)} of {conditioned.count} labels"
    group = arrays.for_each_label(model, conditioned, chosen, config.seed)
    return figures.grid([group], [str(label) for label in chosen], f"Images for {what}\n{subtitle}")


def _of_recognition(
    config: Config, model: CVAE, conditioned: Conditioning, test: Split, subtitle: str
) -> Iterator[tuple[str, Figure]]:
    """What the recognition network makes of the test images."""
    if arrays.drawable(config.shape):
        chosen = _shown(config, test)
        images = test.images[chosen]
        condition, target = conditioned(images, test.labels[chosen])
        posterior_mean = model.encode(target, condition).mean
        reconstructed = conditioned.whole(condition, model.decode(posterior_mean, condition, mean=True))
        yield "reconstructions.png", _reconstructions(images, reconstructed, subtitle)
    if config.prior == "standard" and config.latent == "vector":
        posteriors = [posterior for posterior, _ in latent_use.posteriors(model, config, test)]
        yield "latent.png", _latent(config, posteriors, test, subtitle)
