"""Instructions that go to memory: loads, stores, matrices of a warp in shared memory, atomics and fences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simt.formats import FORMATS, UNSIGNED, Format
from tests.simt.memory import Access, KernelError
from tests.simt.program import Instruction
from tests.simt.threads import Active, Operands, Threads

Array = NDArray[Any]
Run = Callable[[Threads, Active], None]
_QUALIFIERS = {"global", "shared", "shared:cta", "nc", "volatile", "weak", "relaxed", "cta", "gpu", "sys"}
_CACHING = ("L1:", "L2:", "cg", "ca", "cs", "cv", "lu", "wb", "wt", "v2", "v4", "v8")


def _vector(operand: str) -> list[str]:
    return [one.strip() for one in operand.strip("{} ").split(",")]


def _kind(instruction: Instruction, known: set[str]) -> Format:
    """The type of an access, all of whose other modifiers are known."""
    for part in instruction.opcode[1:]:
        if part not in known | {*FORMATS} and not part.startswith(_CACHING):
            raise NotImplementedError(f"instruction: got {instruction.text}; takes none with .{part}")
    return FORMATS[instruction.opcode[-1]]


def accessed(instruction: Instruction) -> int:
    """Bytes of each value that a load, a store or an atomic goes to, at most those of a matrix's elements in pairs."""
    return 4 if "param" in instruction.opcode else min(FORMATS[instruction.opcode[-1]].bits // 8, 4)


def load(instruction: Instruction, operands: Operands) -> Run:
    """``ld``: a fault where a byte may not be read."""
    kind = _kind(instruction, _QUALIFIERS | {"param"})
    names = _vector(instruction.operands[0])
    writing = [operands.writing(name, kind) for name in names]
    if "param" in instruction.opcode:
        parameter = instruction.operands[1].strip("[] ")
        return lambda threads, active: writing[0](threads, kind.read(threads.parameters[parameter]), active)
    address, width, shared = operands.address(instruction.operands[1]), kind.bits // 8, _is_shared(instruction)

    def run(threads: Threads, active: Active) -> None:
        access = threads.access(address(threads), active, width, len(names))
        columns = np.zeros((len(names), threads.count), UNSIGNED[kind.bits])
        lanes = np.arange(threads.count) if active is None else np.flatnonzero(active)
        if shared:
            columns[:, lanes] = threads.shared.load(threads.in_shared(access, active), threads.order)
        else:
            for stretch, part in threads.memory.parts(access):
                columns[:, lanes[part]] = stretch.load(_of(access, part), threads.order)
        for column, write in zip(columns, writing, strict=True):
            write(threads, kind.read(column), active)

    return run


def store(instruction: Instruction, operands: Operands) -> Run:
    """``st``: a fault where a byte may not be written."""
    kind = _kind(instruction, _QUALIFIERS)
    names = _vector(instruction.operands[1])
    unsigned = FORMATS[f"b{kind.bits}"]
    reading = [operands.reading(name, unsigned) for name in names]
    address, width, shared = operands.address(instruction.operands[0]), kind.bits // 8, _is_shared(instruction)

    def run(threads: Threads, active: Active) -> None:
        access = threads.access(address(threads), active, width, len(names))
        lanes = np.arange(threads.count) if active is None else np.flatnonzero(active)
        values = [threads.full(read(threads))[lanes] for read in reading]
        if shared:
            threads.shared.store(threads.in_shared(access, active), values, threads.order)
            return
        threads.order.stored(access.thread)
        for stretch, part in threads.memory.parts(access):
            stretch.store(_of(access, part), [value[part] for value in values], threads.order)

    return run


def _is_shared(instruction: Instruction) -> bool:
    if not {"global", "shared", "shared:cta"} & {*instruction.opcode}:
        raise NotImplementedError(f"instruction: got {instruction.text}; takes .global, .shared or .param")
    return "global" not in instruction.opcode


def _of(access: Access, part: Array) -> Access:
    return access._replace(thread=access.thread[part], address=access.address[part])


def matrices(instruction: Instruction, operands: Operands) -> Run:
    """``ldmatrix`` and ``stmatrix`` of 8 x 8 halves: eight lanes give the rows of each, every lane has two elements."""
    number = next(int(part[1:]) for part in instruction.opcode if part in ("x1", "x2", "x4"))
    loads, transposed = instruction.opcode[0] == "ldmatrix", "trans" in instruction.opcode
    names, place = instruction.operands if loads else instruction.operands[::-1]
    address, word = operands.address(place), FORMATS["b32"]
    registers = _vector(names)
    if len(registers) != number or "m8n8" not in instruction.opcode:
        raise NotImplementedError(f"instruction: got {instruction.text}; takes .m8n8 of as many registers")

    def rows(threads: Threads, active: Active, matrix: int) -> Access:
        if active is not None and not np.isin(threads.warp[~active], threads.warp[active], invert=True).all():
            raise KernelError("a part of a warp executes what the whole warp must")
        giving = (threads.lane // 8 == matrix) & (True if active is None else active)
        return threads.in_shared(threads.access(address(threads), giving, 4, 4), giving)

    def load_all(threads: Threads, active: Active) -> None:
        for matrix, register in enumerate(registers):
            words = np.stack(threads.shared.load(rows(threads, active, matrix), threads.order), axis=-1)
            elements = words.view(np.uint16).reshape(-1, 8, 8)
            elements = elements.transpose(0, 2, 1) if transposed else elements
            found = np.zeros(threads.count, np.uint32)
            found[slice(None) if active is None else active] = (
                np.ascontiguousarray(elements).view(np.uint32).reshape(-1)
            )
            operands.writing(register, word)(threads, found, active)

    def store_all(threads: Threads, active: Active) -> None:
        for matrix, register in enumerate(registers):
            value = threads.full(operands.reading(register, word)(threads))[slice(None) if active is None else active]
            elements = np.ascontiguousarray(value).view(np.uint16).reshape(-1, 8, 8)
            elements = elements.transpose(0, 2, 1) if transposed else elements
            words = np.ascontiguousarray(elements).view(np.uint32).reshape(-1, 4)
            threads.shared.store(rows(threads, active, matrix), [*words.T], threads.order)

    return load_all if loads else store_all


_ATOMIC: dict[str, Callable[..., Any]] = {
    "add": lambda old, b: old + b,
    "min": min,
    "max": max,
    "and": lambda old, b: old & b,
    "or": lambda old, b: old | b,
    "xor": lambda old, b: old ^ b,
    "exch": lambda old, b: b,
    "inc": lambda old, b: type(old)(0) if old >= b else old + type(old)(1),
    "dec": lambda old, b: b if old == 0 or old > b else old - type(old)(1),
    "cas": lambda old, b, c: c if old == b else old,
}


def atomic(instruction: Instruction, operands: Operands) -> Run:
    """``atom`` and ``red``: one lane after the other, in the order of the lanes."""
    semantics = {"acq_rel", "acquire", "release"}
    kind = _kind(instruction, _QUALIFIERS | semantics | {*_ATOMIC})
    name = next(part for part in instruction.opcode if part in _ATOMIC)
    returns = instruction.opcode[0] == "atom"
    target = instruction.operands[0] if returns else "_"
    place, *rest = instruction.operands[returns:]
    address, shared = operands.address(place), _is_shared(instruction)
    reading = [operands.reading(one, kind) for one in rest]
    writing, function = operands.writing(target, kind), _ATOMIC[name]
    releases = bool({"acq_rel", "release"} & {*instruction.opcode})
    acquires = bool({"acq_rel", "acquire"} & {*instruction.opcode})

    def run(threads: Threads, active: Active) -> None:
        access = threads.access(address(threads), active, kind.bits // 8, 1)
        lanes = np.arange(threads.count) if active is None else np.flatnonzero(active)
        values = [threads.full(read(threads))[lanes] for read in reading]
        found = np.zeros(threads.count, kind.read(np.zeros(1, UNSIGNED[kind.bits])).dtype)
        if shared:
            access = threads.in_shared(access, active)
        for one in range(len(lanes)):
            single = _of(access, np.array([one]))
            stretch = threads.shared if shared else next(iter(threads.memory.parts(single)))[0]
            arguments = [value[one] for value in values]

            def new(bits: Any, arguments: list[Any] = arguments, lane: int = lanes[one]) -> Any:
                old = kind.read(np.array([bits]))[0]
                found[lane] = old
                return kind.write(np.array([function(old, *arguments)], dtype=found.dtype))[0]

            threads.order.atomic(
                int(single.address[0]), int(single.thread[0]), single.step, releases=releases, acquires=acquires
            )
            stretch.exchange(single, 0, new)
        writing(threads, found, active)

    return run


def fence(instruction: Instruction, operands: Operands) -> Run:
    """``fence`` and ``membar`` of the whole device."""

    def run(threads: Threads, active: Active) -> None:
        for thread in threads.thread if active is None else threads.thread[active]:
            threads.order.fence(int(thread), threads.order.steps)

    return run
