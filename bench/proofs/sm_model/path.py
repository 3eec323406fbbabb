"""The instructions that a warp runs, in their order.

Nothing is computed, so branches are decided by what they lead to. A branch forward over a call, over local memory or
over a loop is taken: those are slow paths of divisions, square roots and trigonometry, for denormal and huge values.
Any other branch that depends on a predicate falls through, and a loop runs a given number of times. A guarded exit is
for threads beyond the end, and not taken; but where nothing is left to be stored than one value for the whole block,
all warps but the first take it. Behind an atomic, by which programs count themselves, guarded branches and exits are
taken: what they skip is for the last program to arrive. Instructions whose guard is false are issued, and so count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from bench.proofs.sm_model import lanes
from bench.proofs.sm_model.sass import Instruction

_MOST: Final = 1_000_000


class Paths(NamedTuple):
    """Of the first warp of a block, and of each other one."""

    first: list[Instruction]
    others: list[Instruction]

    def of_block(self, warps: int) -> list[list[Instruction]]:
        """The paths of the warps of a block."""
        return [self.first, *[self.others] * (warps - 1)]


def paths(code: Sequence[Instruction], *, passes: int = 1) -> Paths:
    """From the first instruction of a kernel to its exit, through the body of each loop so many times.

    Raises:
        ValueError: a path that does not end in an exit.
    """
    whole = _executed(code, passes)
    last_moved = max((at for at, moved in enumerate(lanes.moved_bytes(whole)) if moved), default=-1)
    barriers = (at for at, instruction in enumerate(whole) if instruction.name == "BAR")
    behind = max(last_moved, next(barriers, len(whole)))
    exits = (at for at, instruction in enumerate(whole) if instruction.name == "EXIT" and at > behind)
    return Paths(whole, whole[: next(exits, len(whole) - 1) + 1])


def _executed(code: Sequence[Instruction], passes: int) -> list[Instruction]:
    path: list[Instruction] = []
    repeated: Counter[int] = Counter()
    counted = False
    at = 0
    while at < len(code) and len(path) < _MOST:
        instruction = code[at]
        path.append(instruction)
        counted = counted or instruction.name.startswith("ATOM")
        if instruction.name == "EXIT" and (counted or not instruction.guard):
            return path
        at = _next(code, at, repeated, passes, counted)
    raise ValueError("path: got one without an exit; takes a kernel whose branches name their targets")


def _next(code: Sequence[Instruction], at: int, repeated: Counter[int], passes: int, counted: bool) -> int:
    instruction = code[at]
    target = instruction.target
    if instruction.name != "BRA" or target is None:
        return at + 1
    if target > at:
        return target if counted or not instruction.guard or _slow(code, at + 1, target) else at + 1
    # A loop that is left by a branch over this one ends here, too: what follows is where that leads.
    repeated[at] = (repeated[at] + 1) % passes
    return target if repeated[at] else at + 1


def _slow(code: Sequence[Instruction], start: int, end: int) -> bool:
    """Whether these instructions are a slow path."""
    return any(
        instruction.name in ("CALL", "LDL", "STL") or _jumps_back(instruction, start, index)
        for index, instruction in enumerate(code[start:end], start)
    )


def _jumps_back(instruction: Instruction, start: int, index: int) -> bool:
    """Whether it is the end of a loop that begins at `start` or later."""
    return instruction.name == "BRA" and instruction.target is not None and start <= instruction.target <= index
