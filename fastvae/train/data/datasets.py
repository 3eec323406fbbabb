"""The data sets: grey images as uint8, which the losses read as value / 255, and their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastvae.networks import fractions
from fastvae.train.data import idx
from fastvae.train.errors import UserError

# Large enough to keep a device busy. Only the parts of a divided KL, estimated from a batch, depend on it.
EVALUATION_BATCH: Final = 500

_DIGITS: Final = Path(__file__).parent / "assets" / "digits.npz"
_DIGITS_MAX: Final = 16
# The images come in the order of their writers: held out are writers that training never saw.
_DIGITS_TRAIN: Final = 1500


class Description(NamedTuple):
    """What networks must know of a data set.

    Attributes:
        shape: of a sample, ``(channels, height, width)`` of an image.
        labels: how many different ones there are, 0 to `labels` - 1; 0 where there are none.
    """

    shape: tuple[int, ...]
    labels: int


NAMED: Final = {"digits": Description((1, 8, 8), 10), "mnist": Description((1, 28, 28), 10)}


class Split(NamedTuple):
    """`images`: ``[count, 1, height, width]`` uint8; `labels`: ``[count]`` int64."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Split:
        """The same data on `device`, where it stays for the whole run."""
        return Split(self.images.to(device), self.labels.to(device))

    def batches(self, size: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels in their order, at most `size` at once."""
        yield from zip(self.images.split(size), self.labels.split(size), strict=True)

    def at(self, pieces: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels at each of `pieces`, int64 indices ``[n]``."""
        for indices in pieces:
            here = indices.to(self.images.device)
            yield self.images[here], self.labels[here]


class Data(NamedTuple):
    """The two parts of a data set, always the same ones."""

    train: Split
    test: Split


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    # astype copies, so that torch owns writable memory.
    return Split(torch.from_numpy(images[:, None].astype(np.uint8)), torch.from_numpy(labels.astype(np.int64)))


def _digits(folder: None, part: str) -> Split:
    with np.load(_DIGITS) as file:
        images, labels = file["images"], file["labels"]
    chosen = slice(_DIGITS_TRAIN) if part == "train" else slice(_DIGITS_TRAIN, None)
    return _split(np.rint(images[chosen] * (255 / _DIGITS_MAX)).astype(np.uint8), labels[chosen])


def _mnist(folder: Path, part: str) -> Split:
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
    return _split(images, labels)


def hold_out(train: Split, share: float, *, binarize: str = "none") -> tuple[Split, Split]:
    """The training images without the last ones, and those, which validate: always the same ones.

    The digits come in the order of their writers, so that those who validate are none of those who train.

    Args:
        train: all of them.
        share: of them, to the nearest whole number of images, one at least; 0 holds none out.
        binarize: as in `load_part`: what is drawn anew in training is one draw in validation, as in the test.

    Raises:
        UserError: none would be left to train on.
    """
    count = len(train.labels)
    kept = count - (max(1, round(share * count)) if share else 0)
    if not kept:
        raise UserError(f"--validation: got {share:g} of {count} training images; takes a share that leaves some")
    images = train.images[kept:]
    held_out = Split(_binarized_once(images) if binarize == "dynamic" else images, train.labels[kept:])
    return Split(train.images[:kept], train.labels[:kept]), held_out


_LOADERS: Final[dict[str, Callable[..., Split]]] = {"digits": _digits, "mnist": _mnist}


def _threshold(images: Tensor) -> Tensor:
    return (images > 127).to(torch.uint8) * 255


def binarized(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Black and white pixels drawn, each white with the probability that its grey value is, in uint8."""
    return torch.bernoulli(fractions(images), generator=generator).to(torch.uint8) * 255


def _binarized_once(images: Tensor) -> Tensor:
    """One draw of `binarized`, always the same one."""
    return binarized(images, torch.Generator().manual_seed(0))


def load_part(name: str, folder: str | None, part: str, *, binarize: str = "none") -> Split:
    """The ``"train"`` or ``"test"`` part of the data set `name`, read from `folder` where it is not bundled.

    Args:
        binarize: make pixels black or white: ``"none"``, ``"threshold"`` (whichever is nearer), or ``"dynamic"``, which
            leaves the training part to be drawn in training and gives the test part of one draw.

    Raises:
        UserError: a file is missing, damaged or not what its name says.
    """
    split = _LOADERS[name](None if folder is None else Path(folder), part)
    if binarize == "threshold":
        return split._replace(images=_threshold(split.images))
    if binarize == "dynamic" and part == "test":
        return split._replace(images=_binarized_once(split.images))
    return split


def load(name: str, folder: str | None, *, binarize: str = "none") -> Data:
    """Both parts, see `load_part`."""
    return Data(*(load_part(name, folder, part, binarize=binarize) for part in ("train", "test")))
