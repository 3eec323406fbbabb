"""Samples from the prior, as a picture or as an array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastvae import VAE
from fastvae.train import atomic, pictures
from fastvae.train import model as models
from fastvae.train.conditional import Baseline
from fastvae.train.conditions import Label
from fastvae.train.config import Config
from fastvae.train.data import LABELS
from fastvae.train.errors import UserError
from fastvae.train.objectives import Model
from fastvae.train.views import images


def _png(path: Path, samples: NDArray[Any]) -> None:
    pictures.save(pictures.sample_grid(samples, f"Samples from the prior: {len(samples)}"), path)


def _npy(path: Path, samples: NDArray[Any]) -> None:
    atomic.write(path, lambda temporary: np.save(temporary, samples))


def _npz(path: Path, samples: NDArray[Any]) -> None:
    atomic.write(path, lambda temporary: np.savez_compressed(temporary, images=samples))


_WRITERS: Final[dict[str, Callable[[Path, NDArray[Any]], None]]] = {".png": _png, ".npy": _npy, ".npz": _npz}


def save_samples(model: Model, config: Config, number: int, label: int | None, seed: int, path: Path) -> None:
    """Write `number` images, means of p(x|z) for z from the prior; arrays are ``[number, height, width]`` in [0, 1].

    Args:
        model, config: of a run.
        number, seed: of the latents.
        label: what a label-conditioned run is given; None for every label in turn.
        path: where to.

    Raises:
        UserError: a suffix other than .png, .npy and .npz, a missing folder, or a model that this is not asked of.
    """
    if path.suffix not in _WRITERS:
        raise UserError(f"--out: got {path}; takes a file that ends in {', '.join(_WRITERS)}")
    if not path.parent.is_dir():
        raise UserError(f"--out: {path.parent}: no such folder")
    model.eval()
    _WRITERS[path.suffix](path, images(_samples(model, config, number, label, seed)))


def _samples(model: Model, config: Config, number: int, label: int | None, seed: int) -> Tensor:
    if label is not None and config.condition != "label":
        raise UserError(f"--label: got {label}; takes none for a run with condition {config.condition!r}")
    if isinstance(model, VAE):
        drawn: Tensor = model.sample(number, seed=seed)
        return drawn
    condition = models.condition(config)
    if isinstance(model, Baseline) or not isinstance(condition, Label):
        raise UserError(
            f"sample: got a run with condition {config.condition!r} and objective {config.objective!r}; "
            "takes one that draws an image from a latent (fastvae plot draws completions)"
        )
    labels = torch.arange(number) % LABELS if label is None else torch.full((number,), label)
    return model.sample(condition.encode(labels).to(next(model.parameters())), 1, seed=seed)[0]
