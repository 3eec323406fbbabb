"""Samples where they are stored, in memory or in a mapped file, from which a batch is gathered when it is asked for."""

from __future__ import annotations

import mmap
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

# A page fault maps the 64 KiB around it, of what the page cache has.
_FAULT_AROUND: Final = 2**16
# Of a map, before its pages are given back: they count as resident memory, though the kernel may take them.
_MAPPED: Final = 2**27

Rows = NDArray[np.int64]


class Source(Protocol):
    """Samples by their row.

    Attributes:
        shape: of a sample.
        dtype: of the values that are gathered: uint8, or float32.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        """How many samples there are."""

    def gather(self, rows: Rows, out: NDArray[Any]) -> None:
        """Write the samples at `rows` into `out`, ``[len(rows), *shape]`` of `dtype`."""


def _map(array: NDArray[Any]) -> mmap.mmap | None:
    """What an array is mapped by."""
    base: object = array.base
    return base if isinstance(base, mmap.mmap) else None


class Array:
    """The rows of an array, which may be mapped from a file: what was read of that does not stay resident.

    Args:
        stored: ``[count, ...]``; bool, uint8, or floating point. True is white.
        channels_last: the channels of an image are the last dimension; gathered ones have them first.
    """

    def __init__(self, stored: NDArray[Any], *, channels_last: bool = False) -> None:
        self._stored = stored
        self._channels_last = channels_last
        *size, last = stored.shape[1:]
        self.shape = (last, *size) if channels_last else (*size, last)
        if stored.ndim == 3:
            self.shape = (1, *self.shape)
        self.dtype = np.dtype(np.uint8 if stored.dtype in (np.uint8, np.bool_) else np.float32)
        self._map = _map(stored)
        self._row_bytes = stored.dtype.itemsize * int(np.prod(stored.shape[1:]))
        self._mapped = 0

    def __len__(self) -> int:
        return len(self._stored)

    def gather(self, rows: Rows, out: NDArray[Any]) -> None:
        """See `Source`. Numpy copies without the GIL, and so beside the thread that trains."""
        as_stored = not self._channels_last and self._stored.dtype == self.dtype
        taken = out.reshape(len(rows), *self._stored.shape[1:]) if as_stored else None
        # Of the modes only "raise" copies through a buffer; the rows are within the array.
        values = np.take(self._stored, rows, axis=0, out=taken, mode="clip")
        if not as_stored:
            values = np.moveaxis(values, -1, 1) if self._channels_last else values
            out[...] = values.reshape(out.shape)
            if self._stored.dtype == np.bool_:
                np.multiply(out, 255, out=out)
        self._give_back(len(rows))

    def _give_back(self, count: int) -> None:
        if self._map is None:
            return
        self._mapped += count * (self._row_bytes + _FAULT_AROUND)
        if self._mapped >= _MAPPED:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._mapped = 0


class Counts:
    """Counts in compressed sparse rows; a batch of them is dense, float32, exact up to 2^24.

    Args:
        starts: ``[count + 1]``, where the values of each row begin.
        columns, values: of the counts that are not 0.
        features: columns in all.
    """

    def __init__(self, starts: NDArray[np.int64], columns: NDArray[Any], values: NDArray[Any], features: int) -> None:
        self._starts, self._columns, self._values = starts, columns, values
        self._maps = [found for part in (columns, values) if (found := _map(part)) is not None]
        self._mapped = 0
        self.shape: tuple[int, ...] = (features,)
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def gather(self, rows: Rows, out: NDArray[Any]) -> None:
        """See `Source`."""
        begins, lengths = self._starts[rows], self._starts[rows + 1] - self._starts[rows]
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        where = np.repeat(begins, lengths) + within
        out[...] = 0
        out[np.repeat(np.arange(len(rows)), lengths), self._columns[where]] = self._values[where]
        self._mapped += 2 * len(rows) * _FAULT_AROUND + 8 * len(where)
        if self._mapped >= _MAPPED:
            for part in self._maps:
                part.madvise(mmap.MADV_DONTNEED)
            self._mapped = 0
