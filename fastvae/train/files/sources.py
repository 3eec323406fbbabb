"""Samples where they are stored, in memory or in a mapped file, from which a batch is gathered when it is asked for."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

# So many rows are read of a map before its pages are given back, which count as resident memory, though the kernel may
# take them: a page fault maps the 64 KiB around it, or, of large pages in the cache, 2 MiB.
ROWS: Final = 64

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


def _maps(*arrays: NDArray[Any]) -> list[mmap.mmap]:
    """What arrays are mapped by."""
    bases: list[object] = [array.base for array in arrays]
    return [base for base in bases if isinstance(base, mmap.mmap)]


def _pieces(rows: Rows, maps: Sequence[mmap.mmap]) -> Iterator[tuple[Rows, slice]]:
    """All rows at once; of maps some at a time, with where they come, after which their pages are given back."""
    size = ROWS if maps else max(1, len(rows))
    for start in range(0, len(rows), size):
        piece = slice(start, start + size)
        yield rows[piece], piece
        for one in maps:
            one.madvise(mmap.MADV_DONTNEED)


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
        self._maps = _maps(stored)

    def __len__(self) -> int:
        return len(self._stored)

    def gather(self, rows: Rows, out: NDArray[Any]) -> None:
        """See `Source`. Numpy copies without the GIL, and so beside the thread that trains."""
        as_stored = not self._channels_last and self._stored.dtype == self.dtype
        for some, piece in _pieces(rows, self._maps):
            part = out[piece]
            taken = part.reshape(len(some), *self._stored.shape[1:]) if as_stored else None
            # Of the modes only "raise" copies through a buffer; the rows are within the array.
            values = np.take(self._stored, some, axis=0, out=taken, mode="clip")
            if not as_stored:
                values = np.moveaxis(values, -1, 1) if self._channels_last else values
                part[...] = values.reshape(part.shape)
        if self._stored.dtype == np.bool_:
            np.multiply(out, 255, out=out)


class Counts:
    """Counts in compressed sparse rows; a batch of them is dense, float32, exact up to 2^24.

    Args:
        starts: ``[count + 1]``, where the values of each row begin.
        columns, values: of the counts that are not 0.
        features: columns in all.
    """

    def __init__(self, starts: NDArray[np.int64], columns: NDArray[Any], values: NDArray[Any], features: int) -> None:
        self._starts, self._columns, self._values = starts, columns, values
        self._maps = _maps(columns, values)
        self.shape: tuple[int, ...] = (features,)
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def gather(self, rows: Rows, out: NDArray[Any]) -> None:
        """See `Source`."""
        out[...] = 0
        for some, piece in _pieces(rows, self._maps):
            begins, lengths = self._starts[some], self._starts[some + 1] - self._starts[some]
            within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            where = np.repeat(begins, lengths) + within
            out[piece][np.repeat(np.arange(len(some)), lengths), self._columns[where]] = self._values[where]
