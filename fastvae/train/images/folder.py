"""What is in a folder of images: names, labels from subfolders, and which of them train and which test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastvae.train.errors import UserError
from fastvae.train.files import stable

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_PARTS: Final = ("train", "test")
Identity = tuple[int, int]


class Listing(NamedTuple):
    """The images of a folder: those that train, then those that test, each in the order of `stable.parts`.

    Attributes:
        names: relative to the folder.
        sizes, times: of the files, in bytes, and nanoseconds of their last change.
        labels: ``[count]`` int64, the number of each one's label in `label_names`; zeros where there are none.
        label_names: names of subfolders in their order, numbers by their value; empty with fewer than two.
        training: how many of them train.
    """

    names: list[str]
    sizes: list[int]
    times: list[int]
    labels: NDArray[np.int64]
    label_names: list[str]
    training: int


def listed(folder: Path) -> Listing:
    """The images below `folder`.

    Raises:
        UserError: none, or too few for both parts; one of the folders train and test without the other; images beside
            the subfolders.
        OSError: a folder that cannot be read.
    """
    files = dict(sorted(_images(folder)))
    if not files:
        raise UserError(f"{folder}: no images in it; takes files that end in {', '.join(SUFFIXES)}")
    names = list(files)
    divided = [part for part in _PARTS if (folder / part).is_dir()]
    if len(divided) == 1:
        raise UserError(f"{folder}: has a folder {divided[0]} alone; takes both {' and '.join(_PARTS)}, or neither")
    hashes = stable.of_names(names)
    if divided:
        tests = np.array([PurePosixPath(name).parts[0] == "test" for name in names])
        outside = next((name for name in names if PurePosixPath(name).parts[0] not in _PARTS), None)
        if outside is not None:
            raise UserError(f"{folder}: {outside} is in neither of its folders {' and '.join(_PARTS)}")
        order = stable.order(hashes)
        parts = stable.Parts(order[~tests[order]], order[tests[order]])
        if not (len(parts.train) and len(parts.test)):
            raise UserError(f"{folder / _PARTS[bool(len(parts.train))]}: no images in it")
    elif len(names) < 2:
        raise UserError(f"{folder}: 1 image; takes at least 2, one to train on and one to test")
    else:
        parts = stable.parts(hashes)
    labels, label_names = _labels(folder, [PurePosixPath(name).parts[bool(divided) : -1] for name in names])
    rows = np.concatenate(parts)
    chosen = [names[row] for row in rows]
    statuses = [files[name] for name in chosen]
    sizes, times = [status.st_size for status in statuses], [status.st_mtime_ns for status in statuses]
    return Listing(chosen, sizes, times, labels[rows], label_names, len(parts.train))


def _images(
    folder: Path, above: tuple[tuple[int, int], ...] = (), at: str = ""
) -> Iterator[tuple[str, os.stat_result]]:
    """Names and states of the images below `folder`, by way of links, too; names that begin with a dot are left out."""
    status = folder.stat()
    identity = status.st_dev, status.st_ino
    if identity in above:
        raise UserError(f"{folder}: a link to a folder that it is in")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _images(Path(entry.path), (*above, identity), f"{at}{entry.name}/")
            elif entry.name.lower().endswith(SUFFIXES):
                if not entry.is_file():
                    # A pipe would be waited for, a device read without an end.
                    raise UserError(f"{entry.path}: no regular file; takes images and links to them")
                yield f"{at}{entry.name}", entry.stat()


def _labels(folder: Path, folders: Sequence[tuple[str, ...]]) -> tuple[NDArray[np.int64], list[str]]:
    """The label of each image, which is the first of the folders that it is in."""
    found = {parts[0] for parts in folders if parts}
    numbers = all(name.isdecimal() for name in found)
    label_names = sorted(found, key=lambda name: (int(name), name) if numbers else (0, name))
    if len(label_names) < 2:
        return np.zeros(len(folders), np.int64), []
    beside = sum(not parts for parts in folders)
    if beside:
        raise UserError(
            f"{folder}: {beside} images beside subfolders {label_names[0]}, {label_names[1]}, ...; takes all images in "
            "subfolders, one for each label, or none"
        )
    numbered = {name: number for number, name in enumerate(label_names)}
    return np.array([numbered[parts[0]] for parts in folders], np.int64), label_names
