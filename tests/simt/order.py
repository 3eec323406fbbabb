"""What is certain about the order of two threads: barriers within a block, and atomics with fences between blocks.

Times are steps of the machine: one step is one instruction for all the threads that are there.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NOBODY: Final = -1
MANY: Final = -(2**31)
"""Threads of several blocks. Several threads of one block, numbered b, are -2 - b."""


def several(block: Array) -> Array:
    """The number of several threads of one block."""
    return -2 - block


class Order:
    """What has been ordered so far.

    Args:
        blocks: of the grid.
        threads: of a block.
    """

    def __init__(self, blocks: int, threads: int) -> None:
        self.threads = threads
        self._barrier = np.zeros(blocks, np.int32)
        self._warp_barrier = np.zeros(blocks * threads, np.int32)
        # The thread of each block that has stored since its barrier, if only one has.
        self._storing = np.full(blocks, NOBODY, np.int32)
        self.steps = 1
        # By block, or by the one thread that others of its block have not met at a barrier since: up to which step the
        # stores of each block are visible to it.
        self._visible: dict[int, Array] = {}
        self._visible_to_one: dict[int, Array] = {}
        self._released: dict[int, Array] = {}
        self._before_fence: dict[int, Array] = {}
        self._after_fence: dict[int, list[Array]] = {}

    def block(self, thread: Array) -> Array:
        """The block of a thread, or of several."""
        return np.where(thread <= -2, -2 - thread, thread // self.threads)

    def after(self, earlier: Array, step: Array, thread: Array) -> Array:
        """Is it certain that `thread` acts after what `earlier` did in a step?"""
        ordered: Array = (earlier == thread) | (earlier == NOBODY)
        if ordered.all():
            return ordered
        block, own = self.block(earlier), thread // self.threads
        same = (block == own) & (earlier != MANY)
        ordered |= same & (step < self._barrier[own])
        same_warp = same & (earlier >= 0) & ((earlier % self.threads) // 32 == (thread % self.threads) // 32)
        ordered |= same_warp & (step < self._warp_barrier[thread])
        if self._visible or self._visible_to_one:
            other = ~same & (earlier != MANY)
            for who, of, visible in self._all_visible(thread, own):
                here = other & (who == of)
                ordered |= here & (step <= visible[np.where(here, block, 0)])
        return ordered

    def _all_visible(self, thread: Array, own: Array) -> list[tuple[Array, int, Array]]:
        by_block = [(own, block, visible) for block, visible in self._visible.items()]
        return by_block + [(thread, one, visible) for one, visible in self._visible_to_one.items()]

    def stored(self, thread: Array) -> None:
        """Note who stores to global memory."""
        block = thread // self.threads
        before = self._storing[block]
        alone = (before == NOBODY) | (before == thread)
        self._storing[block] = np.where(alone, thread, several(block))
        another = (self._storing[block] != thread) | ~alone
        self._storing[block[another]] = several(block[another])

    def synchronize(self, blocks: Array, step: int) -> None:
        """A barrier of blocks."""
        self._barrier[blocks] = step
        self._storing[blocks] = NOBODY
        for one in [one for one in self._visible_to_one if one // self.threads in blocks]:
            seen = self._visible_to_one.pop(one)
            own = self._visible.setdefault(one // self.threads, seen)
            np.maximum(own, seen, out=own)

    def synchronize_warps(self, thread: Array, step: int) -> None:
        """A barrier of the threads of warps."""
        self._warp_barrier[thread] = step

    def _seen_by(self, thread: int, step: int) -> Array:
        """Up to which step the stores of each block are visible to a thread, its own included."""
        block = thread // self.threads
        seen = np.full(len(self._barrier), -1, np.int32)
        for visible in (self._visible.get(block), self._visible_to_one.get(thread)):
            if visible is not None:
                np.maximum(seen, visible, out=seen)
        alone = self._storing[block] in (NOBODY, thread)
        seen[block] = step if alone else self._barrier[block] - 1
        return seen

    def fence(self, thread: int, step: int) -> None:
        """A fence between what a thread did before and its next atomics, and between its last ones and what follows."""
        self._before_fence[thread] = self._seen_by(thread, step)
        for seen in self._after_fence.pop(thread, []):
            self._sees(thread, seen)

    def _sees(self, thread: int, seen: Array) -> None:
        mine = self._visible_to_one.setdefault(thread, seen.copy())
        np.maximum(mine, seen, out=mine)

    def atomic(self, address: int, thread: int, step: int, *, releases: bool, acquires: bool) -> None:
        """An atomic access: whoever acquires from it what it releases sees all that was visible to it."""
        there = self._released.get(address)
        if there is not None and acquires:
            self._sees(thread, there)
        elif there is not None:
            self._after_fence.setdefault(thread, []).append(there.copy())
        mine = self._seen_by(thread, step) if releases else self._before_fence.get(thread)
        if mine is not None:
            self._released[address] = mine if there is None else np.maximum(there, mine)
