"""Samples from the prior, as a picture or as an array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from fastvae import VAE
from fastvae.plots import figures
from fastvae.plots.arrays import Array, drawable, images, not_images
from fastvae.train.data.conditions import Label
from fastvae.train.errors import UserError
from fastvae.train.models.build import Model, conditioning
from fastvae.train.models.conditional import Baseline
from fastvae.train.pictures import saved
from fastvae.train.runs import atomic
from fastvae.train.settings.config import Config


def _png(path: Path, samples: Array) -> None:
    saved.save(figures.sample_grid(samples, f"Samples from the prior: {len(samples)}"), path)


def _npy(path: Path, samples: Array) -> None:
    atomic.write(path, lambda temporary: np.save(temporary, samples))


def _npz(path: Path, samples: Array) -> None:
    atomic.write(path, lambda temporary: np.savez_compressed(temporary, images=samples))


_WRITERS: Final[dict[str, Callable[[Path, Array], None]]] = {".png": _png, ".npy": _npy, ".npz": _npz}


def default_name(config: Config) -> str:
    """The file of a run's samples: a picture, or numbers of what are no images."""
    return f"generated{'.png' if drawable(config.shape) else '.npy'}"


def save(model: Model, config: Config, number: int, label: int | None, seed: int, path: Path) -> None:
    """Write `number` samples, means of p(x|z) for z from the prior.

    Arrays are float32: of images ``[number, height, width]``, if grey, or ``[number, height, width, channels]``, in
    [0, 1]; of other data ``[number, ...]`` as the model gives it. An .npz file has them under ``images``.

    Args:
        model, config: of a run.
        number, seed: of the latents.
        label: what a label-conditioned run is given; None for every label in turn.
        path: where to.

    Raises:
        UserError: a suffix other than .png, .npy and .npz, a missing folder, a picture of what is no image, or a model
            that this is not asked of.
    """
    if path.suffix not in _WRITERS:
        raise UserError(f"--out: got {path}; takes a file that ends in {', '.join(_WRITERS)}")
    if not path.parent.is_dir():
        raise UserError(f"--out: {path.parent}: no such folder")
    if path.suffix == ".png" and not drawable(config.shape):
        raise UserError(f"--out: got {path}, but {not_images(config.shape)}; takes a .npy or .npz file")
    model.eval()
    drawn = _samples(model, config, number, label, seed)
    _WRITERS[path.suffix](path, images(drawn) if len(config.shape) == 3 else drawn.float().cpu().numpy())


def _samples(model: Model, config: Config, number: int, label: int | None, seed: int) -> Tensor:
    if label is not None and config.condition != "label":
        raise UserError(f"--label: got {label}; takes none for a run with condition {config.condition!r}")
    if label is not None and label >= config.labels:
        raise UserError(f"--label: got {label}; takes 0 to {config.labels - 1}")
    if isinstance(model, VAE):
        drawn: Tensor = model.sample(number, seed=seed)
        return drawn
    conditioned = conditioning(config)
    if isinstance(model, Baseline) or not isinstance(conditioned, Label):
        raise UserError(
            f"sample: got a run with condition {config.condition!r} and objective {config.objective!r}; "
            "takes one that draws an image from a latent (fastvae plot draws completions)"
        )
    labels = torch.arange(number) % conditioned.count if label is None else torch.full((number,), label)
    return model.sample(conditioned.encode(labels).to(next(model.parameters())), 1, seed=seed)[0]
