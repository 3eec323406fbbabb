"""The data sets with a name: grey images as uint8, and their labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastvae.train.data import idx
from fastvae.train.data.description import Description
from fastvae.train.errors import UserError

_DIGITS: Final = Path(__file__).parent / "assets" / "digits.npz"
_DIGITS_MAX: Final = 16
# The images come in the order of their writers: held out are writers that training never saw.
_DIGITS_TRAIN: Final = 1500

NAMED: Final = {
    "digits": Description("named", (1, 8, 8), "bytes", 10),
    "mnist": Description("named", (1, 28, 28), "bytes", 10),
}

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def read(name: str, folder: str | None, part: str) -> Arrays:
    """Images ``[count, height, width]`` and labels ``[count]`` of a part, ``"train"`` or ``"test"``.

    Raises:
        UserError: a file is missing, damaged or not what its name says.
    """
    return _READERS[name](None if folder is None else Path(folder), part)


def _digits(folder: None, part: str) -> Arrays:
    with np.load(_DIGITS, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    chosen = slice(_DIGITS_TRAIN) if part == "train" else slice(_DIGITS_TRAIN, None)
    return np.rint(images[chosen] * (255 / _DIGITS_MAX)).astype(np.uint8), labels[chosen]


def _mnist(folder: Path, part: str) -> Arrays:
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    prefix = "train" if part == "train" else "t10k"
    images = idx.read(folder, f"{prefix}-images-idx3-ubyte", 3)
    labels = idx.read(folder, f"{prefix}-labels-idx1-ubyte", 1)
    if len(images) != len(labels) or not len(images):
        raise UserError(f"{folder}: {len(images)} {prefix} images for {len(labels)} labels")
    height, width = images.shape[1:]
    if (1, height, width) != NAMED["mnist"].shape:
        raise UserError(f"{folder}: {prefix} images of {height} x {width} pixels; takes 28 x 28")
    return images, labels


_READERS: Final[dict[str, Callable[..., Arrays]]] = {"digits": _digits, "mnist": _mnist}
