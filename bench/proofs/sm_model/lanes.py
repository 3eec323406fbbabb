"""Which loads and stores a warp makes at an address of each lane's own, and how many bytes they move.

What lies at one address for all lanes, such as a seed or an upstream scalar, is in a cache; the rest passes once
between the chip and its memory. Addresses are followed from the thread's number through the registers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from bench.proofs.sm_model.sass import Instruction

LANES: Final = 32
_REGISTER: Final = re.compile(r"\bR(\d+)\b")
_RESULT: Final = re.compile(r"R\d+\b")
_BYTES: Final = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}
# The registers of a result, where there is more than one.
_WIDTHS: Final = {"64": 2, "WIDE": 2, "128": 4}
_THREAD: Final = ("SR_TID.X", "SR_LANEID", "SR_VIRTID")
_WITHOUT_RESULT: Final = ("ST", "STG", "STS", "STL", "RED")


def width(instruction: Instruction) -> int:
    """Bytes that a lane loads or stores."""
    return next((_BYTES[part] for part in instruction.modifiers if part in _BYTES), 4)


def moved_bytes(path: Sequence[Instruction]) -> list[int]:
    """Bytes that each instruction moves to or from the device's memory for a whole warp."""
    differing: set[int] = set()
    moved = []
    for instruction in path:
        results, sources = _registers(instruction)
        differs = any(name in instruction.operands for name in _THREAD) or not differing.isdisjoint(sources)
        if instruction.name in ("LDG", "STG"):
            address = _REGISTER.search(instruction.operands[instruction.operands.index("[") :])
            differs = address is not None and int(address[1]) in differing
            moved.append(LANES * width(instruction) if differs else 0)
        else:
            moved.append(0)
        # A guarded result is one of two values: what differed before may differ still.
        if differs:
            differing.update(results)
        elif not instruction.guard:
            differing.difference_update(results)
    return moved


def _registers(instruction: Instruction) -> tuple[range, list[int]]:
    """Registers of the result, and those that are read."""
    named = [int(number) for number in _REGISTER.findall(instruction.operands)]
    # Comparisons name predicates as their results, and a shuffle one before the register.
    has_result = _RESULT.match(instruction.operands) and instruction.name not in _WITHOUT_RESULT
    if not named or not (has_result or instruction.name == "SHFL"):
        return range(0), named
    result, *sources = named
    count = max((_WIDTHS.get(part, 1) for part in instruction.modifiers), default=1)
    return range(result, result + count), sources
