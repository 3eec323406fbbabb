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
    """Who touched each byte last, and when."""

    def __init__(self, size: int) -> None:
        self._writer = np.full(size, NOBODY, np.int32)
        self._wrote = np.zeros(size, np.int32)
        self._reader = np.full(size, NOBODY, np.int32)
        self._read = np.zeros(size, np.int32)

    def loading(self, first: Array, width: int, thread: Array, step: int, order: Order) -> Array:
        """Note loads of `width` bytes from `first` on. The places in it that race with an earlier store."""
        racing = np.zeros(first.shape, bool)
        for byte in (first + place for place in range(width)):
            racing |= ~order.after(self._writer[byte], self._wrote[byte], thread)
            before = self._reader[byte]
            before = np.where(order.after(before, self._read[byte], thread), NOBODY, before)
            # Of several threads that load a byte now, one stays; where another did too, both are noted.
            self._reader[byte] = thread
            found = _both(_both(thread, before, order), self._reader[byte], order)
            self._reader[byte] = found
            np.minimum.at(self._reader, byte, np.where(found < 0, found, self._reader[byte]))
            self._read[byte] = step
        return racing

    def storing(self, first: Array, width: int, thread: Array, step: int, order: Order) -> Array:
        """Note stores. The places in `first` that race with an earlier access."""
        racing = np.zeros(first.shape, bool)
        for byte in (first + place for place in range(width)):
            racing |= ~order.after(self._writer[byte], self._wrote[byte], thread)
            racing |= ~order.after(self._reader[byte], self._read[byte], thread)
            self._writer[byte] = thread
            self._wrote[byte] = step
        return racing


def _both(one: Array, other: Array, order: Order) -> Array:
    """The number that stands for the threads of both; either may be several or nobody."""
    block, other_block = order.block(one), order.block(other)
    apart = (block != other_block) | (one == MANY) | (other == MANY)
    both = np.where(one == other, one, np.where(apart, MANY, several(block)))
    return np.where(other == NOBODY, one, np.where(one == NOBODY, other, both)).astype(np.int32)
