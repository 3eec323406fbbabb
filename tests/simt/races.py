"""The last accesses of every byte of a stretch of memory.

Two accesses of one byte by two threads, at least one of them a store, are a race unless they are ordered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simt.order import MANY, NOBODY, Order, several

Array = NDArray[Any]


class Races:
    """Who touched each grain last, and when.

    Args:
        size: bytes.
        grain: bytes that are always accessed together.
    """

    def __init__(self, size: int, grain: int) -> None:
        count = -(-size // grain)
        self._grain = grain
        self._writer = np.full(count, NOBODY, np.int32)
        self._wrote = np.zeros(count, np.int32)
        self._reader = np.full(count, NOBODY, np.int32)
        self._read = np.zeros(count, np.int32)

    def loading(self, first: Array, width: int, thread: Array, step: int, order: Order) -> Array:
        """Note loads of `width` bytes from `first` on. The places in it that race with an earlier store."""
        place, by = self._grains(first, width, thread)
        racing = ~order.after(self._writer[place], self._wrote[place], by)
        before = self._reader[place]
        before = np.where(order.after(before, self._read[place], by), NOBODY, before)
        found = by if (before == NOBODY).all() else _both(by, before, order)
        # Of several threads that load a grain now, one stays; where another did too, both are noted.
        self._reader[place] = found
        others = self._reader[place] != found
        if others.any():
            both = _both(found[others], self._reader[place[others]], order)
            np.minimum.at(self._reader, place[others], both)
        self._read[place] = step
        return racing.reshape(len(first), -1).any(-1)

    def storing(self, first: Array, width: int, thread: Array, step: int, order: Order) -> Array:
        """Note stores. The places in `first` that race with an earlier access."""
        place, by = self._grains(first, width, thread)
        racing = ~order.after(self._writer[place], self._wrote[place], by)
        racing |= ~order.after(self._reader[place], self._read[place], by)
        self._writer[place] = by
        self._wrote[place] = step
        return racing.reshape(len(first), -1).any(-1)

    def _grains(self, first: Array, width: int, thread: Array) -> tuple[Array, Array]:
        """Each grain of every access, and the thread that goes there."""
        count = width // self._grain
        place = (first // self._grain)[:, None] + np.arange(count)
        return place.reshape(-1), np.repeat(thread, count)


def _both(one: Array, other: Array, order: Order) -> Array:
    """The number that stands for the threads of both; either may be several or nobody."""
    block, other_block = order.block(one), order.block(other)
    apart = (block != other_block) | (one == MANY) | (other == MANY)
    both = np.where(one == other, one, np.where(apart, MANY, several(block)))
    return np.where(other == NOBODY, one, np.where(one == NOBODY, other, both)).astype(np.int32)
