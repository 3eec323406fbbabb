"""A user's own data set: what it is like, and its two parts."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastvae.train.data.description import Description, Reading
from fastvae.train.errors import UserError
from fastvae.train.files import counts
from fastvae.train.files.arrays import Arrays
from fastvae.train.files.counts import Cells
from fastvae.train.files.sources import Array, Rows, Source
from fastvae.train.images.cached import Images

TAKES = "a folder of images, or a file that ends in .npy, .npz or .h5ad"


class Part(NamedTuple):
    """Samples, the rows of them that are this part, and the labels of these, int64."""

    source: Source
    rows: Rows
    labels: NDArray[np.int64]


def described(path: Path, reading: Reading) -> Description:
    """What the data in `path` is like.

    Raises:
        UserError: what cannot be read, and why.
    """
    source = _source(path)
    if source == "folder":
        images = _images(path, reading)
        return Description(source, images.shape(), "bytes", len(images.listing.label_names))
    if source == "arrays":
        arrays = Arrays.of(path)
        return Description(source, arrays.train.samples.shape, arrays.values(path), arrays.labels)
    cells = _cells(path, reading)
    return Description(source, cells.counts.shape, "counts", len(cells.label_names))


def parts(path: Path, reading: Reading, wanted: Description) -> dict[str, Part]:
    """Those called ``"train"`` and ``"test"``.

    Args:
        path: where the data is now.
        reading: how it is read.
        wanted: what it was like when the run began.

    Raises:
        UserError: what cannot be read, or is not what was wanted.
    """
    source = _source(path)
    _compare(path, "is", source, wanted.source)
    if source == "folder":
        images = _images(path, reading)
        listing = images.listing
        _compare(path, "labels", len(listing.label_names), wanted.labels)
        stored, rows = Array(images.array(wanted.shape)), np.arange(len(listing.names))
        train, test = rows[: listing.training], rows[listing.training :]
        found = {"train": Part(stored, train, listing.labels[train]), "test": Part(stored, test, listing.labels[test])}
    elif source == "arrays":
        arrays = Arrays.of(path)
        _compare(path, "labels", arrays.labels, wanted.labels)
        _compare(path, "uint8", arrays.train.samples.dtype == np.uint8, wanted.values == "bytes")
        found = {"train": Part(*arrays.train), "test": Part(*arrays.test)}
    else:
        cells = _cells(path, reading)
        _compare(path, "labels", len(cells.label_names), wanted.labels)
        train, test = cells.parts
        found = {name: Part(cells.counts, rows, cells.labels[rows]) for name, rows in cells.parts._asdict().items()}
    _compare(path, "shape of a sample", found["train"].source.shape, wanted.shape)
    return found


def _source(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if not path.exists():
        raise UserError(f"--data: {path}: no such file or folder; takes digits, mnist, {TAKES}")
    if path.suffix in (".npy", ".npz"):
        return "arrays"
    if path.suffix == ".h5ad":
        return "counts"
    raise UserError(f"--data: got {path}; takes digits, mnist, {TAKES}")


def _compare(path: Path, what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise UserError(f"{path}: not the data of the run any more: {what} {found}, was {wanted}")


def _images(path: Path, reading: Reading) -> Images:
    return Images.of(path, reading.image_size, reading.channels, reading.cache_dir)


def _cells(path: Path, reading: Reading) -> Cells:
    status = path.stat()
    return _cells_of(path, reading, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _cells_of(path: Path, reading: Reading, size: int, time: int) -> Cells:
    """Read once of a file that has not changed, first to be described and then to train."""
    return counts.read(path, reading.layer, reading.label_key, reading.cache_dir)
