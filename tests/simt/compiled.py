"""An instruction as a function that runs it for the active lanes of some threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simt import accesses, warps
from tests.simt.approximate import Approximations
from tests.simt.formats import FORMATS, UNSIGNED
from tests.simt.program import Instruction
from tests.simt.threads import Active, Operands, Threads
from tests.simt.values import value_of

Array = NDArray[Any]
Run = Callable[[Threads, Active], None]


def compiled(instruction: Instruction, operands: Operands, which: Approximations) -> Run:
    """Of everything but control flow.

    Raises:
        NotImplementedError: it is not known.
    """
    name = instruction.opcode[0]
    if name == "bar":
        return warps.barrier(instruction, operands)
    if name in _EFFECTS:
        return _EFFECTS[name](instruction, operands)
    if name == "mov":
        return _move(instruction, operands)
    value = value_of(instruction.opcode, which)
    if value is None:
        raise NotImplementedError(f"instruction: got {instruction.text}; takes what is in tests/simt")
    targets, *texts = instruction.operands
    reading = [operands.reading(text, kind) for text, kind in zip(texts, value.operands, strict=False)]
    writing = [operands.writing(one, value.result) for one in targets.split("|")]
    compares = name == "setp"

    def run(threads: Threads, active: Active) -> None:
        result = value.function(*[read(threads) for read in reading])
        for write, one in zip(writing, result if compares else (result,), strict=False):
            write(threads, one, active)

    return run


def _move(instruction: Instruction, operands: Operands) -> Run:
    """``mov``, which also takes a register apart, or makes it of parts, the lowest first."""
    kind = FORMATS[instruction.opcode[-1]]
    kind = FORMATS[f"b{kind.bits}"] if kind.bits > 1 else kind
    target, source = instruction.operands
    if "{" not in target + source:
        read, write = operands.reading(source, kind), operands.writing(target, kind)
        return lambda threads, active: write(threads, read(threads), active)
    apart = "{" in target
    parts = [one.strip() for one in (target if apart else source).strip("{} ").split(",")]
    part = FORMATS[f"b{kind.bits // len(parts)}"]
    dtype = UNSIGNED[part.bits]
    if apart:
        read, writes = operands.reading(source, kind), [operands.writing(one, part) for one in parts]

        def split(threads: Threads, active: Active) -> None:
            pieces = np.ascontiguousarray(read(threads)).view(dtype).reshape(-1, len(parts))
            for write, piece in zip(writes, pieces.T, strict=True):
                write(threads, np.ascontiguousarray(piece), active)

        return split
    reads, write = [operands.reading(one, part) for one in parts], operands.writing(target, kind)

    def join(threads: Threads, active: Active) -> None:
        pieces = np.stack(np.broadcast_arrays(*[read(threads) for read in reads]), axis=-1)
        write(threads, np.ascontiguousarray(pieces).view(UNSIGNED[kind.bits]).reshape(-1), active)

    return join


_EFFECTS: Mapping[str, Callable[[Instruction, Operands], Run]] = {
    "ld": accesses.load,
    "ldu": accesses.load,
    "st": accesses.store,
    "ldmatrix": accesses.matrices,
    "stmatrix": accesses.matrices,
    "atom": accesses.atomic,
    "red": accesses.atomic,
    "fence": accesses.fence,
    "membar": accesses.fence,
    "shfl": warps.shuffle,
    "vote": warps.vote,
    "redux": warps.reduce,
}
