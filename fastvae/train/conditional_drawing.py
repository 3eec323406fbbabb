"""The pictures of conditional runs: images for each label, completions of what is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from fastvae import CVAE
from fastvae.train import model as models
from fastvae.train import pictures, views
from fastvae.train.conditional import Baseline
from fastvae.train.conditions import Condition, Label, Quadrants
from fastvae.train.config import Config
from fastvae.train.data import LABELS, Split
from fastvae.train.evaluation import posteriors
from fastvae.train.metrics import Epoch
from fastvae.train.pixels import fractions

_RECONSTRUCTIONS: Final = 20
_PER_LABEL: Final = 10
_COMPLETED: Final = 12
_SAMPLES: Final = 6
_AVERAGED: Final = 100
# What is not known of an image, in a picture of it.
_UNKNOWN: Final = 0.5

Columns = tuple[str, NDArray[Any]]


def figures(config: Config, model: CVAE | Baseline, test: Split, history: list[Epoch]) -> Iterator[tuple[str, Figure]]:
    """Every picture of a conditional run, with its file name."""
    run = f"{config.data}, {config.objective}, latent dimension {config.latent_dim}"
    condition = models.condition(config).to(test.images.device)
    if isinstance(condition, Label):
        names = [str(label) for label in range(LABELS)]
        columns = _per_label(model, condition, config.seed)
        yield "labels.png", pictures.grid([columns], names, f"Images for each label\n{run}")
    else:
        images = test.images[:_COMPLETED]
        title = f"Completions from {config.quadrants} of 4 quadrants\n{run}"
        groups, name = given(condition, images), "network"
        if isinstance(model, CVAE):
            groups, name = groups + _predictions(model, condition, images, config.seed), "samples"
        groups.append((name, completions(model, condition, images, config.seed)))
        yield "completions.png", pictures.grid(groups, [], title)
    if isinstance(model, CVAE) and config.objective != "gsnn":
        yield from _posterior(config, model, condition, test, run)
    yield "losses.png", pictures.losses(history, run)


def _posterior(
    config: Config, model: CVAE, condition: Condition, test: Split, run: str
) -> Iterator[tuple[str, Figure]]:
    """What the recognition network makes of the test images."""
    chosen = views.one_of_each(test.labels)[:_RECONSTRUCTIONS]
    images = test.images[chosen]
    x, target = condition(images, test.labels[chosen])
    reconstructed = condition.whole(x, model.decode(model.encode(target, x).mean, x, mean=True))
    title = f"Test images and their reconstructions\n{run}"
    yield "reconstructions.png", pictures.reconstructions(views.images(images), views.images(reconstructed), title)
    if config.prior == "standard":
        points, axis_names = views.plane([posterior for posterior, _ in posteriors(model, config, test)])
        title = f"Posterior means of the test images\n{run}"
        yield "latent.png", pictures.latent(points, test.labels.cpu().numpy(), title, axis_names)


def _per_label(model: CVAE | Baseline, condition: Label, seed: int) -> Columns:
    """A row for each label; a column is the same latent for all of them."""
    codes = condition.encode(torch.arange(LABELS, device=next(model.parameters()).device))
    if isinstance(model, Baseline):
        return "prediction", _columns(model.predict(codes)[None])
    # One draw for all labels: the same seed and shape of a label's own.
    drawn = [model.sample(code[None], _PER_LABEL, seed=seed) for code in codes]
    return "each column the same latent", _columns(torch.cat(drawn, 1))


def given(condition: Quadrants, images: Tensor) -> list[Columns]:
    """What of the images is given, and the images."""
    x, y = condition(images, images)
    unknown = condition.whole(x, torch.full_like(y, _UNKNOWN, dtype=torch.float32))
    return [("given", _columns(unknown[None])), ("original", _columns(fractions(images)[None]))]


def completions(
    model: CVAE | Baseline, condition: Quadrants, images: Tensor, seed: int, samples: int = _SAMPLES
) -> NDArray[Any]:
    """The given part of images with what a model makes of the others, a column for each of so many latents.

    They are from the prior; a network without a latent has one column.
    """
    x, _ = condition(images, images)
    targets = model.predict(x)[None] if isinstance(model, Baseline) else model.sample(x, samples, seed=seed)
    return _columns(torch.stack([condition.whole(x, target) for target in targets]))


def _predictions(model: CVAE, condition: Quadrants, images: Tensor, seed: int) -> list[Columns]:
    """The same at the prior's mean, and averaged over the prior."""
    x, _ = condition(images, images)
    targets = {"mean $z$": model.predict(x), "average": model.predict(x, _AVERAGED, seed=seed)}
    return [(name, _columns(condition.whole(x, target)[None])) for name, target in targets.items()]


def _columns(images: Tensor) -> NDArray[Any]:
    """``[columns, rows, 1, height, width]`` to an array ``[rows, columns, height, width]``."""
    array: NDArray[Any] = images[:, :, 0].transpose(0, 1).float().cpu().numpy()
    return array
