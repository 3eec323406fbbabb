"""The order of samples and which of them are held out, by a hash of each one's name: a new one moves no other."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_HELD_OUT: Final = 0.1
_BITS: Final = 64


class Parts(NamedTuple):
    """Rows of a data set: those that train and those that test, in an order in which any part is a fair sample."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def of_names(names: Sequence[str]) -> NDArray[np.uint64]:
    """A hash of each name, the same on every machine."""
    digests = (blake2b(name.encode(errors="surrogateescape"), digest_size=_BITS // 8).digest() for name in names)
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), np.uint64, len(names))


def of_rows(count: int) -> NDArray[np.uint64]:
    """A hash of each number below `count`: the finalizer of splitmix64 (Steele, Lea & Flood 2014)."""
    z: NDArray[Any] = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashes: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return hashes


def order(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows by their hashes."""
    return np.argsort(hashes, kind="stable").astype(np.int64)


def parts(hashes: NDArray[np.uint64]) -> Parts:
    """A tenth held out, those with the least hashes; at least one of each part, of at least two samples."""
    rows = order(hashes)
    below = int((hashes < np.uint64(int(_HELD_OUT * 2**_BITS))).sum())
    held_out = min(max(below, 1), len(rows) - 1)
    return Parts(rows[held_out:], rows[:held_out])
