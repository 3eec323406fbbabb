"""Data sets as tensors, or as what stands for one where that would not fit, and their labels."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastvae.networks import fractions
from fastvae.train.data import named, own
from fastvae.train.data.description import AS_IT_IS, Description, Reading, evaluation_batch
from fastvae.train.data.named import NAMED
from fastvae.train.data.own import Part
from fastvae.train.data.stored import Stored
from fastvae.train.errors import UserError
from fastvae.train.files.sources import Array, Rows

# Samples of up to so many bytes are a tensor, on the device for the whole run.
IN_MEMORY: Final = 2**29
_READ: Final = 2**26  # bytes at once


class Split(NamedTuple):
    """Samples and their labels.

    Attributes:
        images: ``[count, ...]``; uint8, read as value / 255, or float32. `Stored` has of a tensor what is used of it:
            its shape, length and device, and samples at indices and slices.
        labels: ``[count]`` int64; zeros where there are none.
    """

    images: Tensor | Stored
    labels: Tensor

    @property
    def size(self) -> int:
        """How many images there are."""
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.images.device

    def to(self, device: torch.device) -> Split:
        """The same data on `device`, where it stays for the whole run."""
        return Split(self.images.to(device), self.labels.to(device))

    def batches(self, size: int | None = None) -> Generator[tuple[Tensor, Tensor]]:
        """Images and labels in their order, at most `size` at once; by default as many as are evaluated."""
        if size is None:
            size = evaluation_batch(tuple(self.images.shape[1:]))
        if isinstance(self.images, Tensor):
            yield from zip(self.images.split(size), self.labels.split(size), strict=True)
        else:
            yield from self.in_order(torch.arange(len(self.labels)), size)

    def in_order(self, order: Tensor, size: int) -> Generator[tuple[Tensor, Tensor]]:
        """Images and labels at the indices `order`, int64, at most `size` at once, see `at`."""
        return self.at(order.split(size))

    def at(self, pieces: Sequence[Tensor]) -> Generator[tuple[Tensor, Tensor]]:
        """Images and labels at each of `pieces`, int64 indices ``[n]``.

        Closing the iterator (`contextlib.closing`) ends the thread that gathers `Stored` samples.
        """
        if isinstance(self.images, Tensor):
            for piece in pieces:
                indices = piece.to(self.labels.device)
                yield self.images[indices], self.labels[indices]
            return
        with closing(self.images.stream(pieces)) as stream:
            for images, piece in zip(stream, pieces, strict=True):
                yield images, self.labels[piece.to(self.labels.device)]

    def same(self, other: Split) -> bool:
        """Whether both have the same samples and labels."""
        if self.images.shape != other.images.shape or not torch.equal(self.labels, other.labels):
            return False
        return all(
            torch.equal(ours, theirs) for (ours, _), (theirs, _) in zip(self.batches(), other.batches(), strict=True)
        )


class Data(NamedTuple):
    """The two parts of a data set, always the same ones."""

    train: Split
    test: Split


def describe(name: str, reading: Reading = AS_IT_IS) -> Description:
    """What networks must know of the data set `name`, or of that in the path `name`.

    Raises:
        UserError: what cannot be read, and why.
    """
    return NAMED[name] if name in NAMED else own.described(Path(name), reading)


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
    kept = left_to_train(count, share)
    if not kept:
        raise UserError(f"--validation: got {share:g} of {count} training images; takes a share that leaves some")
    first, last = (_part(train.images, *bounds) for bounds in ((0, kept), (kept, count)))
    held_out = Split(_binarized_once(last) if binarize == "dynamic" else last, train.labels[kept:])
    return Split(first, train.labels[:kept]), held_out


def left_to_train(count: int, share: float) -> int:
    """How many of `count` samples train, where a share of them, one at least unless it is 0, is held out."""
    return count - (max(1, round(share * count)) if share else 0)


def _part(images: Tensor | Stored, start: int, stop: int) -> Tensor | Stored:
    return images.part(start, stop) if isinstance(images, Stored) else images[start:stop]


def _threshold(images: Tensor | Stored) -> Tensor | Stored:
    if isinstance(images, Stored):
        return images.changed(_threshold_in_place)
    return (images > 127).to(torch.uint8) * 255


def _threshold_in_place(images: NDArray[Any], rows: Rows) -> None:
    images[...] = np.where(images > 127, 255, 0)


def binarized(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Black and white pixels drawn, each white with the probability that its grey value is, in uint8."""
    return torch.bernoulli(fractions(images), generator=generator).to(torch.uint8) * 255


def _binarized_once(images: Tensor | Stored) -> Tensor | Stored:
    """One draw of `binarized`, always the same one."""
    if isinstance(images, Stored):
        return images.changed(_draw_in_place)
    return binarized(images, torch.Generator().manual_seed(0))


def _draw_in_place(images: NDArray[Any], rows: Rows) -> None:
    """A draw for each row that is the same in whichever batch it is."""
    for image, row in zip(images, rows, strict=True):
        uniform = np.random.Generator(np.random.Philox(key=int(row))).random(image.shape, np.float32)
        image[...] = np.where(uniform * 255 < image, 255, 0)


def load_part(
    name: str,
    folder: str | None,
    part: str,
    *,
    binarize: str = "none",
    reading: Reading = AS_IT_IS,
    described: Description | None = None,
) -> Split:
    """The ``"train"`` or ``"test"`` part of the data set `name`.

    Args:
        name: of a data set, or the path of one's own.
        folder: where a named one is that is not bundled, or where one's own has moved to.
        part: its name.
        binarize: make pixels black or white: ``"none"``, ``"threshold"`` (whichever is nearer), or ``"dynamic"``, which
            leaves the training part to be drawn in training and gives the test part of one draw.
        reading: how one's own is read.
        described: what that was like when the run began; what it is like now if left out.

    Raises:
        UserError: a file is missing, damaged or not what its name says.
    """
    if name in NAMED:
        return _binarized(_named(name, folder, part), part, binarize)
    return _binarized(_split(_own(name, folder, reading, described)[part]), part, binarize)


def load(
    name: str,
    folder: str | None,
    *,
    binarize: str = "none",
    reading: Reading = AS_IT_IS,
    described: Description | None = None,
) -> Data:
    """Both parts, see `load_part`."""
    names = ("train", "test")
    if name in NAMED:
        splits = [_named(name, folder, part) for part in names]
    else:
        found = _own(name, folder, reading, described)
        splits = [_split(found[part]) for part in names]
    return Data(*(_binarized(split, part, binarize) for split, part in zip(splits, names, strict=True)))


def _named(name: str, folder: str | None, part: str) -> Split:
    images, labels = named.read(name, folder, part)
    # astype copies, so that torch owns writable memory.
    return Split(torch.from_numpy(images[:, None].astype(np.uint8)), torch.from_numpy(labels.astype(np.int64)))


def _own(name: str, folder: str | None, reading: Reading, described: Description | None) -> dict[str, Part]:
    path = Path(name if folder is None else folder)
    return own.parts(path, reading, own.described(path, reading) if described is None else described)


def _split(part: Part) -> Split:
    """Dense samples that are few are a tensor."""
    labels, stored = torch.from_numpy(part.labels), Stored(part.source, part.rows)
    sample = math.prod(part.source.shape) * part.source.dtype.itemsize
    if not isinstance(part.source, Array) or len(part.rows) * sample > IN_MEMORY:
        return Split(stored, labels)
    size = max(1, _READ // sample)
    return Split(torch.cat([stored[start : start + size] for start in range(0, len(part.rows), size)]), labels)


def _binarized(split: Split, part: str, binarize: str) -> Split:
    if binarize == "threshold":
        return split._replace(images=_threshold(split.images))
    if binarize == "dynamic" and part == "test":
        return split._replace(images=_binarized_once(split.images))
    return split
