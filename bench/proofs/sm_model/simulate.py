"""Cycles that one multiprocessor takes for a block of a kernel, in the steady state of many blocks.

Each of four schedulers issues one instruction a cycle, of a warp whose control codes let it, to a pipe that is free:
of the same warp as before if it can, else of the youngest (Huerta et al., "Analyzing modern NVIDIA GPU cores", 2025).
Loads and stores pass through one unit and then a queue that is served at the multiprocessor's share of the bandwidth of
a copy; everything else takes a fixed time. A block that ends makes room for the next.
"""

from __future__ import annotations

import bisect
import heapq
import math
import operator
from typing import Final

from bench.proofs.sm_model.machine import OPERANDS_READ, RELEASED, REPLACED, SCHEDULERS
from bench.proofs.sm_model.sass import BARRIERS, NO_BARRIER
from bench.proofs.sm_model.steps import UNITS, Step

_WAVES: Final = 5
"""How many times the blocks that are resident together are replaced."""
_next, _number = operator.attrgetter("next"), operator.attrgetter("number")


class _Block:
    """A resident block: how many of its warps have not ended, and those that wait for the others."""

    def __init__(self, warps: int) -> None:
        self.left = warps
        self.waiting: list[_Warp] = []


class _Warp:
    """A resident warp: its next step, and when each of its barriers is released."""

    __slots__ = ("at", "barriers", "block", "number", "path", "scheduler")

    def __init__(self, path: list[Step], block: _Block, number: int, scheduler: _Scheduler) -> None:
        self.path, self.block, self.number, self.scheduler = path, block, number, scheduler
        self.at = 0
        self.barriers = [0.0] * BARRIERS


class _Scheduler:
    """Its warps: those `pending` may not go on before a time, those `eligible`, the youngest last, may."""

    def __init__(self) -> None:
        self.pending: list[tuple[float, int, _Warp]] = []
        self.eligible: list[_Warp] = []
        self.free = [0.0] * len(UNITS)
        self.last: _Warp | None = None
        self.next = 0.0

    def add(self, warp: _Warp, ready: float) -> None:
        """Let a warp go on at a time."""
        heapq.heappush(self.pending, (ready, warp.number, warp))

    def choose(self, now: float) -> tuple[_Warp, int] | float:
        """The warp to issue now, taken out, and its unit (-1 for none); or when there may be one."""
        pending, eligible, free = self.pending, self.eligible, self.free
        while pending and pending[0][0] <= now:
            bisect.insort(eligible, heapq.heappop(pending)[2], key=_number)
        again = pending[0][0] if pending else math.inf
        if self.last in eligible:
            eligible.append(eligible.pop(eligible.index(self.last)))
        for index in range(len(eligible) - 1, -1, -1):
            warp = eligible[index]
            units = warp.path[warp.at].units
            for unit in units or (-1,):
                if unit < 0 or free[unit] <= now:
                    del eligible[index]
                    eligible.sort(key=_number)
                    self.last = warp
                    return warp, unit
                again = min(again, free[unit])
        return again


class Multiprocessor:
    """Runs blocks of a kernel.

    Args:
        first, others: the steps of the first warp of a block, and of each other one.
        warps: of a block.
        resident: blocks at a time.
    """

    def __init__(self, first: list[Step], others: list[Step], warps: int, resident: int) -> None:
        self._paths = [first, *[others] * (warps - 1)]
        self._resident = resident
        self._schedulers = [_Scheduler() for _ in range(SCHEDULERS)]
        self._launched = 0
        self._lsu = 0.0
        self._queue = 0.0
        self._issued = 0
        self._ended = 0

    def run(self) -> float:
        """Cycles a block in the steady state, from the end of the first blocks on; no fewer than the queue takes."""
        for _ in range(self._resident):
            self._launch(0.0)
        now = self._until(self._resident, 0.0)
        start, before = now, self._issued
        now = self._until(self._resident * _WAVES, now)
        a_block = sum(map(len, self._paths))
        queued = sum(step.queued for path in self._paths for step in path)
        return max(queued, (now - start) / (self._issued - before) * a_block)

    def _until(self, ended: int, now: float) -> float:
        """Go on until so many blocks have ended; the time then."""
        while self._ended < ended:
            scheduler = min(self._schedulers, key=_next)
            now = scheduler.next
            chosen = scheduler.choose(now)
            if isinstance(chosen, float):
                scheduler.next = chosen
            else:
                warp, unit = chosen
                scheduler.next = now + warp.path[warp.at].slots
                self._issue(scheduler, warp, unit, now)
        return now

    def _launch(self, now: float) -> None:
        block = _Block(len(self._paths))
        for index, path in enumerate(self._paths):
            scheduler = self._schedulers[index % SCHEDULERS]
            number = self._launched * len(self._paths) + index
            self._wake(_Warp(path, block, number, scheduler), now)
        self._launched += 1

    @staticmethod
    def _wake(warp: _Warp, ready: float) -> None:
        warp.scheduler.add(warp, ready)
        warp.scheduler.next = min(warp.scheduler.next, ready)

    def _issue(self, scheduler: _Scheduler, warp: _Warp, unit: int, now: float) -> None:
        step = warp.path[warp.at]
        self._issued += 1
        if unit >= 0:
            scheduler.free[unit] = now + step.busy
        if step.writes != NO_BARRIER or step.reads != NO_BARRIER or step.passing:
            self._note(step, warp, now)
        warp.at += 1
        if warp.at == len(warp.path):
            self._end(warp, now)
        elif step.gathers:
            self._gather(warp, now + step.stall)
        else:
            waits = warp.path[warp.at].waits
            ready = now + step.stall
            for barrier in waits:
                ready = max(ready, warp.barriers[barrier])
            heapq.heappush(scheduler.pending, (ready, warp.number, warp))

    def _note(self, step: Step, warp: _Warp, now: float) -> None:
        """When the barriers of a step are released."""
        served = now
        if step.passing:
            served = self._lsu = max(self._lsu, now) + step.passing
        if step.reads != NO_BARRIER:
            warp.barriers[step.reads] = max(warp.barriers[step.reads], served + OPERANDS_READ)
        if step.queued:
            served = self._queue = max(self._queue, served) + step.queued
        if step.writes != NO_BARRIER:
            warp.barriers[step.writes] = max(warp.barriers[step.writes], served + step.latency)

    def _gather(self, warp: _Warp, ready: float) -> None:
        block = warp.block
        block.waiting.append(warp)
        if len(block.waiting) == block.left:
            for waiting in block.waiting:
                needed = [waiting.barriers[barrier] for barrier in waiting.path[waiting.at].waits]
                self._wake(waiting, max(ready + RELEASED, *needed, 0.0))
            block.waiting = []

    def _end(self, warp: _Warp, now: float) -> None:
        warp.block.left -= 1
        if warp.block.left == 0:
            self._ended += 1
            self._launch(now + REPLACED)
        elif warp.block.waiting and len(warp.block.waiting) == warp.block.left:
            raise ValueError("path: got a warp that ends before a barrier; takes paths that meet at all of them")
