"""Samples from the prior, as a picture or as an array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastvae import VAE
from fastvae.train import atomic, pictures
from fastvae.train.errors import UserError
from fastvae.train.views import images


def _png(path: Path, samples: NDArray[Any]) -> None:
    pictures.save(pictures.sample_grid(samples, f"Samples from the prior: {len(samples)}"), path)


def _npy(path: Path, samples: NDArray[Any]) -> None:
    atomic.write(path, lambda temporary: np.save(temporary, samples))


def _npz(path: Path, samples: NDArray[Any]) -> None:
    atomic.write(path, lambda temporary: np.savez_compressed(temporary, images=samples))


_WRITERS: Final[dict[str, Callable[[Path, NDArray[Any]], None]]] = {".png": _png, ".npy": _npy, ".npz": _npz}


def save_samples(model: VAE, number: int, seed: int, path: Path) -> None:
    """Write `number` images, means of p(x|z) for z from the prior; arrays are ``[number, height, width]`` in [0, 1].

    Raises:
        UserError: a suffix other than .png, .npy and .npz, or a missing folder.
    """
    if path.suffix not in _WRITERS:
        raise UserError(f"--out: got {path}; takes a file that ends in {', '.join(_WRITERS)}")
    if not path.parent.is_dir():
        raise UserError(f"--out: {path.parent}: no such folder")
    model.eval()
    _WRITERS[path.suffix](path, images(model.sample(number, seed=seed)))
