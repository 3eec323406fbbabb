"""The pictures of a run: what its model makes of the test images and of the latent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final, TypeAlias

import torch
from matplotlib.figure import Figure
from torch import Tensor

from fastvae import CVAE, VAE, DiagonalGaussian
from fastvae.plots import arrays, figures
from fastvae.plots.rows import rows_of
from fastvae.train.data.conditions import Conditioning, Label, Quadrants
from fastvae.train.data.datasets import Split
from fastvae.train.errors import UserError
from fastvae.train.evaluation import latent_use
from fastvae.train.models.build import Model, conditioning
from fastvae.train.models.conditional import Baseline
from fastvae.train.pictures import conditional, epochs, saved
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

# A name, and what draws it.
_Pictures: TypeAlias = Iterator[tuple[str, Callable[[], Figure]]]

NAMES: Final = (
    "completions", "labels", "reconstructions", "samples", "latent", "manifold", "interpolation", "traversal", "losses",
)  # fmt: skip
"""Every picture, in the order in which a run has them; what each run has is up to its data and its latent."""

FORMATS: Final = ("png", "svg", "pdf")


def draw(
    folder: RunFolder,
    config: Config,
    model: Model,
    test: Split,
    history: list[Epoch],
    *,
    only: Sequence[str] = (),
    out: Path | None = None,
    kind: str = "png",
) -> list[str]:
    """Draw the pictures of a run; returns their file names.

    Of samples that are no images only the latent and the losses are drawn; of a spatial latent no plane of it and no
    single coordinate.

    Args:
        folder, config, model, test, history: of the run.
        only: of `NAMES`; none for every one that the run has, and its animation.
        out: a folder, made if need be; None for that of the run.
        kind: of the files, one of `FORMATS`.

    Raises:
        UserError: the run has no picture of such a name, or the folder cannot be made.
    """
    model.eval()
    place = folder.path if out is None else out
    pictures = dict(
        _of_vae(config, model, test, history)
        if isinstance(model, VAE)
        else of_conditional(config, model, test, history)
    )
    for name in only:
        if name not in pictures:
            raise UserError(f"--only: got {name!r}, which this run does not have; takes {', '.join(pictures)}")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out: {place}: {error.strerror}") from error
    names = []
    with torch.no_grad():
        for name, picture in pictures.items():
            if not only or name in only:
                names.append(f"{name}.{kind}")
                saved.save(picture(), place / names[-1])
        if not only and config.keep_weights and isinstance(model, VAE) and arrays.drawable(config.shape):
            saved.animation(epochs.grids(folder, config, len(history)), place / epochs.ANIMATION)
            names.append(epochs.ANIMATION)
    return names


def note(config: Config) -> str | None:
    """One line where a run has fewer pictures because of its data; None where it has them all."""
    if arrays.drawable(config.shape):
        return None
    return f"{arrays.not_images(config.shape)}: pictures of the latent and the losses only"


def _of_vae(config: Config, model: VAE, test: Split, history: list[Epoch]) -> _Pictures:
    subtitle = f"{config.data_name}, {config.model}, {architecture.latent(config)}"
    posteriors = _posteriors(model, config, test)
    with torch.no_grad():
        of_vectors = model.encode(test.images[:1]).mean.dim() == 2
    images = arrays.drawable(config.shape)
    if images:
        yield "reconstructions", lambda: _reconstructed(config, model, test, subtitle)
        yield "samples", lambda: _samples(config, model, subtitle)
    if of_vectors:
        yield "latent", lambda: _latent(config, posteriors(), test, subtitle)
    if images and of_vectors and config.latent_dim == 2:
        yield "manifold", lambda: _manifold(model, test, subtitle)
    if images:
        yield "interpolation", lambda: _interpolation(config, model, test, subtitle)
    if images and of_vectors:
        yield "traversal", lambda: _traversal(model, posteriors(), subtitle)
    yield "losses", partial(figures.losses, rows_of(history), subtitle)


def _posteriors(model: VAE | CVAE, config: Config, test: Split) -> Callable[[], Sequence[DiagonalGaussian]]:
    """Those of the test images, found once, when the first picture of them is drawn."""
    return cache(lambda: [posterior for posterior, _ in latent_use.posteriors(model, config, test)])


def _shown(config: Config, test: Split) -> Tensor:
    """The indices of the test images whose reconstructions are drawn: of each label in turn, where there are labels."""
    order = arrays.one_of_each(test.labels) if config.labels else torch.arange(len(test.images))
    return order[:_RECONSTRUCTIONS]


def _reconstructed(config: Config, model: VAE, test: Split, subtitle: str) -> Figure:
    chosen = test.images[_shown(config, test)]
    return _reconstructions(chosen, model.reconstruct(chosen), subtitle)


def _samples(config: Config, model: VAE, subtitle: str) -> Figure:
    samples = arrays.images(model.sample(_SAMPLES, seed=config.seed))
    return figures.sample_grid(samples, f"Samples from the prior\n{subtitle}")


def _manifold(model: VAE, test: Split, subtitle: str) -> Figure:
    quantiles, decoded = arrays.manifold(model, test.images.device)
    title = f"Decoded latent at normal quantiles 0.05 to 0.95\n{subtitle}"
    return figures.manifold(arrays.images(decoded.flatten(0, 1)), quantiles, title)


def _reconstructions(chosen: Tensor, reconstructed: Tensor, subtitle: str) -> Figure:
    title = f"Test images and their reconstructions\n{subtitle}"
    return figures.reconstructions(arrays.images(chosen), arrays.images(reconstructed), title)


def _latent(config: Config, posteriors: Sequence[DiagonalGaussian], test: Split, subtitle: str) -> Figure:
    points, axis_names = arrays.plane(posteriors)
    labels = test.labels.cpu().numpy() if config.labels else None
    return figures.latent(points, labels, f"Posterior means of the test data\n{subtitle}", axis_names)


def _interpolation(config: Config, model: VAE, test: Split, subtitle: str) -> Figure:
    """From one example to the next, and from the last one back to the first."""
    first = arrays.examples(test.labels if config.labels else None, len(test.images))
    pairs = torch.stack((first, first.roll(-1)), 1)
    starts, ends = (model.encode(test.images[pairs[:, side]]).mean for side in range(2))
    return figures.interpolation(
        arrays.images(arrays.shrunk(test.images[pairs], _INTERPOLATION_COLUMNS)),
        arrays.images(arrays.interpolations(model, starts, ends, _INTERPOLATION_COLUMNS)),
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
        arrays.images(arrays.traversals(model, mean, used, values)),
        values.cpu().numpy(),
        [f"$z_{{{dimension}}}$   KL to N(0, 1) {kl[dimension]:.2f} nats" for dimension in used],
        f"One coordinate changed from a test image's posterior mean\n{subtitle}",
    )


def of_conditional(config: Config, model: CVAE | Baseline, test: Split, history: list[Epoch]) -> _Pictures:
    """Every picture of a conditional run: its name, and what draws it."""
    subtitle = f"{config.data_name}, {config.objective}, {architecture.latent(config)}"
    conditioned = conditioning(config).to(test.images.device)
    if not isinstance(conditioned, Label):
        yield "completions", lambda: _completions(config, model, conditioned, test, subtitle)
    elif arrays.drawable(config.shape):
        yield "labels", lambda: _labels(config, model, conditioned, subtitle)
    if isinstance(model, CVAE) and config.objective != "gsnn":
        if arrays.drawable(config.shape):
            yield "reconstructions", lambda: _recognized(config, model, conditioned, test, subtitle)
        if config.prior == "standard" and config.latent == "vector":
            posteriors = _posteriors(model, config, test)
            yield "latent", lambda: _latent(config, posteriors(), test, subtitle)
    yield "losses", partial(figures.losses, rows_of(history), subtitle)


def _completions(config: Config, model: CVAE | Baseline, quadrants: Quadrants, test: Split, subtitle: str) -> Figure:
    images = test.images[:_COMPLETED]
    groups, name = conditional.known_and_original(quadrants, images), "network"
    if isinstance(model, CVAE):
        groups, name = groups + conditional.predicted_completions(model, quadrants, images, config.seed), "samples"
    groups.append((name, conditional.completions(model, quadrants, images, config.seed)))
    return figures.grid(groups, [], f"Completions from {config.quadrants} of 4 quadrants\n{subtitle}")


def _labels(config: Config, model: CVAE | Baseline, conditioned: Label, subtitle: str) -> Figure:
    """Images for each label, or for some of many."""
    chosen = arrays.spread(conditioned.count, _LABELS)
    what = "each label" if len(chosen) == conditioned.count else f"{len(chosen)} of {conditioned.count} labels"
    group = conditional.for_each_label(model, conditioned, chosen, config.seed)
    return figures.grid([group], [str(label) for label in chosen], f"Images for {what}\n{subtitle}")


def _recognized(config: Config, model: CVAE, conditioned: Conditioning, test: Split, subtitle: str) -> Figure:
    """What the recognition network makes of the test images."""
    chosen = _shown(config, test)
    images = test.images[chosen]
    condition, target = conditioned(images, test.labels[chosen])
    posterior_mean = model.encode(target, condition).mean
    reconstructed = conditioned.whole(condition, model.decode(posterior_mean, condition, mean=True))
    return _reconstructions(images, reconstructed, subtitle)
