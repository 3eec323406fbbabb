"""Instructions that exchange values within a warp: all the lanes that a mask names execute them together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simt.formats import FORMATS
from tests.simt.memory import KernelError
from tests.simt.program import Instruction
from tests.simt.threads import Active, Operands, Read, Threads

Array = NDArray[Any]
Run = Callable[[Threads, Active], None]
_WORD = FORMATS["b32"]
PARTIAL = "a warp exchanges values while lanes of its mask are elsewhere, or lanes outside of it are here"


def _taking_part(threads: Threads, active: Active, members: Array) -> Array:
    """Of every warp of 32 lanes, those that its mask names; a fault unless they, and no others, are here."""
    here = (np.ones(threads.count, bool) if active is None else threads.full(active)).reshape(-1, 32)
    masks = threads.full(members).reshape(-1, 32)
    named = (masks[..., None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1) == 1
    if (here[..., None] & (named != here[:, None, :])).any():
        raise KernelError(PARTIAL)
    return here


def shuffle(instruction: Instruction, operands: Operands) -> Run:
    """``shfl.sync``: each lane gets the value of another one, or its own where that is out of range."""
    mode = instruction.opcode[2]
    target, _, in_range = instruction.operands[0].partition("|")
    value, by, limits, members = (operands.reading(text, _WORD) for text in instruction.operands[1:])
    writing = operands.writing(target, _WORD)
    writing_range = operands.writing(in_range or "_", FORMATS["pred"])

    def run(threads: Threads, active: Active) -> None:
        here = _taking_part(threads, active, members(threads)).reshape(-1)
        lane = threads.lane
        offset = by(threads).astype(np.int64) & 31
        limit = limits(threads).astype(np.int64)
        clamp, segment = limit & 31, limit >> 8 & 31
        lowest, highest = lane & segment, (lane & segment) | (clamp & ~segment)
        source, inside = {
            "up": lambda: (lane - offset, lane - offset >= highest),
            "down": lambda: (lane + offset, lane + offset <= highest),
            "bfly": lambda: (lane ^ offset, (lane ^ offset) <= highest),
            "idx": lambda: (lowest | (offset & ~segment), (lowest | (offset & ~segment)) <= highest),
        }[mode]()
        source = threads.warp + np.where(inside, source, lane)
        if not here[source[here]].all():
            raise KernelError("a lane asks for the value of one that is elsewhere")
        writing(threads, threads.full(value(threads))[source], active)
        writing_range(threads, threads.full(inside), active)

    return run


def _ballot(votes: Array) -> Array:
    return (votes.astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(-1, keepdims=True).astype(np.uint32)


_VOTES: dict[str, Callable[[Array, Array], Array]] = {
    "any": lambda votes, here: (votes & here).any(-1, keepdims=True),
    "all": lambda votes, here: (votes | ~here).all(-1, keepdims=True),
    "uni": lambda votes, here: (votes | ~here).all(-1, keepdims=True) | ~(votes & here).any(-1, keepdims=True),
    "ballot": lambda votes, here: _ballot(votes & here),
}


def vote(instruction: Instruction, operands: Operands) -> Run:
    """``vote.sync``."""
    mode, kind = instruction.opcode[2], FORMATS[instruction.opcode[-1]]
    votes = operands.reading(instruction.operands[1].lstrip("!"), FORMATS["pred"])
    negated = instruction.operands[1].startswith("!")
    return _collective(
        instruction, operands, lambda threads: votes(threads) ^ negated, kind, lambda v, here: _VOTES[mode](v, here)
    )


_REDUCTIONS: dict[str, tuple[Any, int]] = {
    "add": (np.add, 0),
    "min": (np.minimum, 2**31 - 1),
    "max": (np.maximum, -(2**31)),
    "and": (np.bitwise_and, -1),
    "or": (np.bitwise_or, 0),
    "xor": (np.bitwise_xor, 0),
}


def reduce(instruction: Instruction, operands: Operands) -> Run:
    """``redux.sync`` of integers."""
    kind = FORMATS[instruction.opcode[-1]]
    function, neutral = _REDUCTIONS[instruction.opcode[2]]
    if kind.kind == "f" or (kind.kind == "u" and instruction.opcode[2] in ("min", "max")):
        neutral = {"min": 2**32 - 1, "max": 0}[instruction.opcode[2]]

    def combined(values: Array, here: Array) -> Array:
        return function.reduce(np.where(here, values, np.array(neutral, values.dtype)), axis=-1, keepdims=True)

    return _collective(instruction, operands, operands.reading(instruction.operands[1], kind), kind, combined)


def _collective(
    instruction: Instruction, operands: Operands, reading: Read, kind: Any, combine: Callable[[Array, Array], Array]
) -> Run:
    members = operands.reading(instruction.operands[2], _WORD)
    writing = operands.writing(instruction.operands[0], kind)

    def run(threads: Threads, active: Active) -> None:
        here = _taking_part(threads, active, members(threads))
        found = combine(threads.full(reading(threads)).reshape(-1, 32), here)
        writing(threads, np.repeat(found.reshape(-1), 32), active)

    return run


def barrier(instruction: Instruction, operands: Operands) -> Run:
    """``bar.warp.sync``: orders what the lanes of a warp do in memory."""
    members = operands.reading(instruction.operands[0], _WORD)

    def run(threads: Threads, active: Active) -> None:
        here = _taking_part(threads, active, members(threads)).reshape(-1)
        threads.order.synchronize_warps(threads.thread[here], threads.order.steps)

    return run
