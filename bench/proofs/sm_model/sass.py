"""Machine code of an NVIDIA GPU: its instructions with the control codes that the assembler gave them.

Since Volta an instruction has 128 bits, of which bits 105 to 125 tell the scheduler when the next one may be issued
(Jia et al., "Dissecting the NVIDIA Volta GPU architecture via microbenchmarking", 2018, section 2.1; the layout is the
same on sm_80 and sm_90). nvdisasm prints the instructions, and their bits beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_LABEL: Final = re.compile(r"^\s*([.$][\w.$]+|[A-Za-z_][\w$]*):\s*$")
_INSTRUCTION: Final = re.compile(
    r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:(@!?U?P\w+)\s+)?([A-Z][\w.]*)(.*?);?\s*/\* 0x([0-9a-f]{16}) \*/"
)
_UPPER_HALF: Final = re.compile(r"^\s*/\* 0x([0-9a-f]{16}) \*/")
_TARGET: Final = re.compile(r"`\(([^)]+)\)")

BARRIERS: Final = 6
"""That a warp has, to wait for results whose time is not known."""
NO_BARRIER: Final = 7


class Instruction(NamedTuple):
    """One instruction.

    Attributes:
        opcode: with its modifiers, such as ``LDG.E.128``.
        guard: the predicate it depends on, such as ``@!P0``; empty where it always runs.
        operands: as text.
        target: the index of the instruction that it jumps to; None where it does not, or where only a register knows.
        stall: cycles until the warp may issue its next instruction.
        writes, reads: the barrier, of 0 to 5, that is released when the result is there, or the operands were read;
            `NO_BARRIER` where there is none.
        waits: the mask of the barriers that it waits for.
        address: from the beginning of the kernel.
    """

    opcode: str
    guard: str = ""
    operands: str = ""
    target: int | None = None
    stall: int = 1
    writes: int = NO_BARRIER
    reads: int = NO_BARRIER
    waits: int = 0
    address: int = 0

    @property
    def name(self) -> str:
        """The opcode without modifiers."""
        return self.opcode.partition(".")[0]

    @property
    def modifiers(self) -> tuple[str, ...]:
        """Of the opcode."""
        return tuple(self.opcode.split(".")[1:])


def parse(listing: str) -> tuple[Instruction, ...]:
    """The instructions of what ``nvdisasm -c -hex`` printed.

    Raises:
        ValueError: an instruction without the second half of its bits.
    """
    labels: dict[str, int] = {}
    found = list(_instructions(listing, labels))
    targets = (_TARGET.search(instruction.operands) for instruction in found)
    return tuple(
        instruction._replace(target=labels.get(target[1]) if target else None)
        for instruction, target in zip(found, targets, strict=True)
    )


def _instructions(listing: str, labels: dict[str, int]) -> Iterator[Instruction]:
    lines = iter(listing.splitlines())
    index = 0
    for line in lines:
        if label := _LABEL.match(line):
            labels[label[1]] = index
        elif match := _INSTRUCTION.match(line):
            address, guard, opcode, operands, lower = match.groups()
            upper = _UPPER_HALF.match(next(lines, ""))
            if upper is None:
                raise ValueError(f"listing: got {line.strip()!r} without its upper half; takes that of nvdisasm -hex")
            index += 1
            control = _control(int(upper[1] + lower, 16))
            yield Instruction(opcode, guard or "", operands.strip(), None, *control, int(address, 16))


def _control(bits: int) -> tuple[int, int, int, int]:
    """(stall, writes, reads, waits)."""
    control = bits >> 105
    return control & 15, control >> 5 & 7, control >> 8 & 7, control >> 11 & 63
