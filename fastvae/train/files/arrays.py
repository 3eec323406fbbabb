"""The arrays of an .npy or .npz file as samples and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastvae.train.errors import UserError
from fastvae.train.files import npz, stable
from fastvae.train.files.sources import Array

# Names in an .npz file: samples and labels of one data set, or of both of its parts.
_WHOLE: Final = (("images", "labels"), ("data", "labels"), ("x", "y"))
_DIVIDED: Final = (
    (("train_images", "train_labels"), ("test_images", "test_labels")),
    (("train_data", "train_labels"), ("test_data", "test_labels")),
    (("x_train", "y_train"), ("x_test", "y_test")),
)
_CHANNELS: Final = (1, 3)
_CHECKED: Final = 2**24  # bytes at once
_LABELS: Final = 2**16
_NAMED: Final = 9  # arrays in a message


class Part(NamedTuple):
    """Samples, the rows of them that are this part, in the order of `stable.parts`, and the labels of these, int64."""

    samples: Array
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


class Arrays(NamedTuple):
    """The arrays of a file: both parts, and how many different labels they have, 0 without any."""

    train: Part
    test: Part
    labels: int

    @classmethod
    def of(cls, path: Path) -> Arrays:
        """The arrays in `path`.

        Raises:
            UserError: a file that is damaged, or has arrays that are not taken.
        """
        found = npz.arrays(path)
        divided = next((names for names in _DIVIDED if all(pair[0] in found for pair in names)), None)
        if divided is not None:
            samples = [_samples(path, name, found[name]) for name, _ in divided]
            if samples[0].shape != samples[1].shape:
                raise UserError(
                    f"{path}: {divided[0][0]} has samples of {samples[0].shape} and {divided[1][0]} of "
                    f"{samples[1].shape}; takes the same shape"
                )
            if samples[0].dtype != samples[1].dtype:
                kinds = f"{divided[0][0]} is {samples[0].dtype} and {divided[1][0]} {samples[1].dtype}"
                raise UserError(f"{path}: {kinds}; takes one kind")
            labels = [_labels(path, found, name, len(part)) for part, (_, name) in zip(samples, divided, strict=True)]
            if (labels[0] is None) != (labels[1] is None):
                raise UserError(f"{path}: has labels of one part alone; takes those of both, or none")
            rows = [stable.order(stable.of_rows(len(part))) for part in samples]
        else:
            name, labelled = _names(path, found)
            whole = _samples(path, name, found[name])
            if len(whole) < 2:
                raise UserError(f"{path}: 1 sample; takes at least 2, one to train on and one to test")
            samples, labels = [whole] * 2, [_labels(path, found, labelled, len(whole))] * 2
            rows = list(stable.parts(stable.of_rows(len(whole))))
        parts = [
            Part(one, row, np.zeros(len(row), np.int64) if label is None else label[row])
            for one, row, label in zip(samples, rows, labels, strict=True)
        ]
        given = [label for label in labels if label is not None]
        return cls(parts[0], parts[1], max((int(label.max()) + 1 for label in given), default=0))

    def values(self, path: Path) -> str:
        """``"bytes"``; or, of floating point, which is read whole, ``"unit"`` in [0, 1] and ``"real"`` elsewhere.

        Raises:
            UserError: NaN or infinity, or images that are not in [0, 1].
        """
        if self.train.samples.dtype == np.uint8:
            return "bytes"
        samples = [self.train.samples] if self.train.samples is self.test.samples else [part[0] for part in self[:2]]
        lows, highs = zip(*(_range(path, part) for part in samples), strict=True)
        low, high = min(lows), max(highs)
        if low >= 0 and high <= 1:
            return "unit"
        if len(self.train.samples.shape) == 3:
            raise UserError(
                f"{path}: images of floating point from {low:g} to {high:g}; takes them in [0, 1], or uint8"
            )
        return "real"


def _names(path: Path, found: dict[str, NDArray[Any]]) -> tuple[str, str]:
    """Of the samples, and of the labels that may be there."""
    for names in _WHOLE:
        if names[0] in found:
            return names
    if len(found) != 1:
        taken = ", ".join([*(names[0] for names in _WHOLE), *(names[0][0] for names in _DIVIDED)])
        first = [*list(found)[:_NAMED], *(["..."] if len(found) > _NAMED else [])]
        raise UserError(f"{path}: has {', '.join(first) or 'no arrays'}; takes a single array, or one called {taken}")
    return next(iter(found)), "labels"


def _samples(path: Path, name: str, array: NDArray[Any]) -> Array:
    what = f"{path}: {name}" if name else f"{path}"
    if array.dtype not in (np.uint8, np.bool_) and not (array.dtype.kind == "f" and array.dtype.itemsize <= 8):
        raise UserError(f"{what}: got {array.dtype}; takes uint8, bool, float16, float32 or float64")
    if array.ndim not in (2, 3, 4):
        raise UserError(
            f"{what}: got the shape {array.shape}; takes [n, features], [n, h, w], [n, h, w, c] or [n, c, h, w]"
        )
    if array.size == 0:
        raise UserError(f"{what}: got the shape {array.shape}, which is empty")
    if array.ndim == 4 and array.shape[3] not in _CHANNELS and array.shape[1] not in _CHANNELS:
        raise UserError(f"{what}: got the shape {array.shape}; takes 1 or 3 channels, in the second place or the last")
    return Array(array, channels_last=array.ndim == 4 and array.shape[3] in _CHANNELS)


def _labels(path: Path, found: dict[str, NDArray[Any]], name: str, count: int) -> NDArray[np.int64] | None:
    if name not in found:
        return None
    array = found[name]
    if array.dtype.kind not in "iu" or array.shape not in ((count,), (count, 1)):
        raise UserError(f"{path}: {name}: got {array.dtype} of shape {array.shape}; takes {count} whole numbers")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= _LABELS:
        raise UserError(f"{path}: {name}: got {low} to {high}; takes numbers from 0 to {_LABELS - 1}")
    return array.reshape(count).astype(np.int64)


def _range(path: Path, samples: Array) -> tuple[float, float]:
    """The least and the greatest value."""
    low, high = np.inf, -np.inf
    size = max(1, _CHECKED // (4 * int(np.prod(samples.shape))))
    for start in range(0, len(samples), size):
        rows = np.arange(start, min(start + size, len(samples)))
        values = np.empty((len(rows), *samples.shape), np.float32)
        with np.errstate(over="ignore"):
            samples.gather(rows, values)
        finite = np.isfinite(values).reshape(len(rows), -1).all(1)
        if not finite.all():
            raise UserError(f"{path}: NaN or infinity in sample {int(rows[finite.argmin()])}; takes finite numbers")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high
