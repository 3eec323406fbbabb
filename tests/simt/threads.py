"""The threads that run together: the blocks of a launch that are under way, one lane a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simt.formats import UNSIGNED, Format, constant, resized
from tests.simt.memory import READABLE, WRITABLE, Access, KernelError, Memory, Stretch
from tests.simt.order import Order
from tests.simt.program import Program

Array = NDArray[Any]
Active = Array | None
"""Which lanes an instruction is for; None for all."""
Read = Callable[["Threads"], Array]


class Threads:
    """Registers, shared memory and place in the grid of each lane.

    Args:
        program: the kernel.
        blocks: the numbers of those that run now.
        grid: the number of all.
        parameters: the bits of each argument, by name.
        shared: bytes of shared memory of a block.
        memory: the tensors given.
        order: what is known of the order of all threads.
    """

    def __init__(
        self,
        program: Program,
        blocks: Array,
        grid: int,
        parameters: dict[str, Array],
        shared: int,
        memory: Memory,
        order: Order,
    ) -> None:
        size = program.threads
        self.count = len(blocks) * size
        self.block = np.repeat(np.arange(len(blocks)), size)
        self.numbers = blocks
        self.memory, self.order, self.parameters = memory, order, parameters
        thread = np.tile(np.arange(size), len(blocks))
        self.thread = np.repeat(blocks, size) * size + thread
        self.lane = thread % 32
        self.warp = np.arange(self.count) - self.lane
        zero = np.zeros(1, np.uint32)
        self.special = {
            "%tid.x": thread.astype(np.uint32),
            "%ntid.x": zero + size,
            "%ctaid.x": np.repeat(blocks, size).astype(np.uint32),
            "%nctaid.x": zero + grid,
            "%laneid": self.lane.astype(np.uint32),
            "%warpid": (thread // 32).astype(np.uint32),
            **{f"%{name}.{axis}": zero + name.startswith("n") for name in _PLACES for axis in "yz"},
        }
        self.registers = [np.array([~np.uint64(0)]).astype(UNSIGNED[bits]) for bits in program.registers.values()]
        self.shared_bytes = shared
        row = -(-max(shared, 1) // 16) * 16
        self._row = row
        self.shared = Stretch("shared memory", 0, np.zeros(row * len(blocks), np.uint8), READABLE | WRITABLE, row)

    def full(self, values: Array) -> Array:
        """One value a lane."""
        return values if len(values) == self.count else np.broadcast_to(values, (self.count,))

    def access(self, addresses: Array, active: Active, width: int, count: int) -> Access:
        """Of the active lanes."""
        lanes = slice(None) if active is None else active
        return Access(self.thread[lanes], self.full(addresses)[lanes].astype(np.uint64), width, count, self.order.steps)

    def in_shared(self, access: Access, active: Active) -> Access:
        """The same in the memory of all blocks."""
        if (access.address + np.uint64(access.width * access.count) > self.shared_bytes).any():
            raise KernelError(
                f"byte {int(access.address.max())} of the {self.shared_bytes} of shared memory is out of bounds"
            )
        block = self.block if active is None else self.block[active]
        return access._replace(address=access.address + (block * self._row).astype(np.uint64))


_PLACES = ("tid", "ntid", "ctaid", "nctaid")


class Operands:
    """How operands of a program are read and written."""

    def __init__(self, program: Program) -> None:
        self.bits = program.registers
        self.numbers = {name: number for number, name in enumerate(program.registers)}
        self._symbols: dict[str, int] = {}
        place = 0
        for symbol, size in program.shared.items():
            self._symbols[symbol] = place
            place += -(-size // 16) * 16
        self.static = place

    def reading(self, text: str, kind: Format) -> Read:
        """The values of an operand as numbers of a format: of a register, a number, or a symbol's address.

        A sign before a register or a floating-point number is of `contraction`, not of PTX.
        """
        if text.startswith("-") and kind.kind == "f":
            negated = self.reading(text[1:], kind)
            return lambda threads: -negated(threads)
        if text in self.numbers:
            number, read = self.numbers[text], kind.read
            if self.bits[text] == kind.bits:
                return lambda threads: read(threads.registers[number])
            size = kind.bits
            return lambda threads: read(resized(threads.registers[number], size))
        if text.startswith("%"):
            return lambda threads: kind.read(resized(threads.special[text], kind.bits))
        bits = constant(str(self._symbols[text]) if text in self._symbols else text, kind.bits)
        if bits is None:
            raise NotImplementedError(f"operand: got {text}; takes a register, a number or an array in shared memory")
        value = kind.read(bits)
        return lambda threads: value

    def writing(self, text: str, kind: Format) -> Callable[[Threads, Array, Active], None]:
        """Write values of a format to a register of active lanes."""
        if text == "_":
            return lambda threads, values, active: None
        number, size, signed, write = self.numbers[text], self.bits[text], kind.kind == "s", kind.write

        def to(threads: Threads, values: Array, active: Active) -> None:
            bits = resized(write(values), size, signed=signed)
            if active is not None:
                bits = np.where(active, bits, threads.registers[number])
            threads.registers[number] = bits

        return to

    def size(self, text: str) -> int:
        """The bits of a register."""
        return self.bits[text]

    def address(self, text: str) -> Read:
        """The addresses of ``[register + offset]``."""
        base, _, offset = text.strip("[] ").partition("+")
        further = int(offset or "0", 0)
        base = base.strip()
        bits = 64 if self.bits.get(base) == 64 else 32
        unsigned = UNSIGNED[bits]
        read = self.reading(base, Format(bits, lambda value: value, lambda value: value, "b"))
        if not further:
            return read
        return lambda threads: read(threads) + unsigned(further % 2**bits)
