"""The instructions that a warp runs, in their order.

Nothing is computed, so branches are decided by what they lead to. A branch forward over a call, over local memory or
over a loop is taken: those are slow paths of divisions, square roots and trigonometry, for denormal and huge values.
Any other branch that depends on a predicate falls through, and a loop runs a given number of times. Behind a barrier, a
guarded exit leaves the first warp alone with what the others have left in shared memory; elsewhere it is for threads
beyond the end. Instructions whose guard is false are issued, too, and so count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from bench.proofs.sm_model.sass import Instruction

_MOST: Final = 1_000_000


def executed(code: Sequence[Instruction], *, first: bool, passes: int = 1) -> list[Instruction]:
    """The path of one warp from the first instruction to its exit.

    Args:
        code: all instructions of the kernel.
        first: is it the first warp of its block?
        passes: through the body of each loop.

    Raises:
        ValueError: a path that does not end in an exit.
    """
    path: list[Instruction] = []
    repeated: Counter[int] = Counter()
    at, alone = 0, False
    while at < len(code) and len(path) < _MOST:
        instruction = code[at]
        path.append(instruction)
        alone = alone or instruction.name == "BAR"
        if instruction.name == "EXIT" and (not instruction.guard or (alone and not first)):
            return path
        at = _next(code, at, repeated, passes)
    raise ValueError("path: got one without an exit; takes a kernel whose branches name their targets")


def _next(code: Sequence[Instruction], at: int, repeated: Counter[int], passes: int) -> int:
    instruction = code[at]
    target = instruction.target
    if instruction.name != "BRA" or target is None:
        return at + 1
    if target > at:
        return target if not instruction.guard or _slow(code, at + 1, target) else at + 1
    if instruction.guard:
        repeated[at] += 1
        if repeated[at] >= passes:
            repeated[at] = 0
            return at + 1
    return target


def _slow(code: Sequence[Instruction], start: int, end: int) -> bool:
    """Whether these instructions are a slow path."""
    return any(code[index].name in ("CALL", "LDL", "STL") or _loops(code[index], index) for index in range(start, end))


def _loops(instruction: Instruction, index: int) -> bool:
    return instruction.name == "BRA" and instruction.target is not None and instruction.target <= index
