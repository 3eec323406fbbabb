"""Executes a program: all threads of some blocks at once, one basic block after the other, lowest first.

Lanes that branch apart wait for each other where their ways meet again, as they do on a device that reconverges as soon
as it can. A barrier waits for all threads of its block, an exchange of values for all lanes of its warp.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.simt.accesses import accessed
from tests.simt.approximate import Approximations
from tests.simt.compiled import compiled
from tests.simt.contraction import contracted
from tests.simt.formats import FORMATS, UNSIGNED
from tests.simt.memory import KernelError, Memory
from tests.simt.order import Order
from tests.simt.program import Instruction, Program, parse
from tests.simt.threads import Active, Operands, Threads
from tests.simt.warps import PARTIAL

Array = NDArray[Any]
_LANES = 8192
"""That run together: as many as keep their registers in the caches."""


class Executed(NamedTuple):
    """What a launch has run.

    Attributes:
        instructions: each as often as a warp has come to it.
        reached: the numbers of those in the program that any has come to.
        written: how many the program has.
    """

    instructions: int
    reached: set[int]
    written: int


class Machine:
    """A program that can be launched.

    Args:
        text: PTX of one kernel.
        which: the results that approximate instructions give.
        contract: fuse products and sums, as ptxas does where it may?
    """

    def __init__(self, text: str, which: Approximations = Approximations.NEAREST, *, contract: bool = False) -> None:
        self.program: Program = parse(text)
        self._operands = Operands(self.program)
        instructions = self.program.instructions
        ends = {number + 1 for number, one in enumerate(instructions) if _is_control(one)}
        self._exchanges = {number for number, one in enumerate(instructions) if _is_of_whole_warps(one)}
        self._starts = sorted({0, *self.program.labels.values(), *ends, *self._exchanges} - {len(instructions)})
        self._grain = min((accessed(one) for one in instructions if one.opcode[0] in _ACCESSING), default=4)
        following = dict(zip(self._starts, [*self._starts[1:], len(instructions)], strict=True))
        self._blocks = {start: range(start, end) for start, end in following.items()}
        if contract:
            instructions = [
                one for block in self._blocks.values() for one in contracted(instructions[block.start : block.stop])
            ]
        self._runs = [
            _nothing if _is_control(instruction) else compiled(instruction, self._operands, which)
            for instruction in instructions
        ]

    def launch(
        self,
        grid: int,
        arguments: Sequence[int],
        memory: Memory,
        *,
        shared: int = 0,
        arrival: Sequence[int] | None = None,
        lanes: int = _LANES,
    ) -> Executed:
        """Run all blocks.

        Args:
            grid: the number of blocks.
            arguments: as unsigned integers, in the order of the parameters; those that are missing are 0.
            memory: what may be touched.
            shared: bytes of shared memory that the launch adds.
            arrival: the order in which the blocks run and their atomics happen.
            lanes: at most so many at once, but at least a block.

        Raises:
            KernelError: the kernel does what it may not.
        """
        program = self.program
        padded = [*arguments, *[0] * (len(program.parameters) - len(arguments))]
        parameters = {
            name: np.array([value & (2**bits - 1)], UNSIGNED[bits])
            for (name, bits), value in zip(program.parameters.items(), padded, strict=True)
        }
        order = Order(grid, program.threads)
        memory.begin(self._grain)
        numbers = np.arange(grid) if arrival is None else np.array(arrival)
        at_once = max(1, lanes // program.threads)
        total, reached = 0, set[int]()
        for first in range(0, grid, at_once):
            threads = Threads(
                program,
                numbers[first : first + at_once],
                grid,
                parameters,
                shared + self._operands.static,
                memory,
                order,
            )
            threads.shared.begin(self._grain)
            with np.errstate(all="ignore"):
                total += self._run(threads, reached)
        return Executed(total, reached, len(program.instructions))

    def _run(self, threads: Threads, reached: set[int]) -> int:
        runnable: dict[int, Array] = {0: np.ones(threads.count, bool)}
        waiting: dict[int, Array] = {}
        total = 0
        while runnable or waiting:
            if not runnable:
                number = min(waiting)
                if number in self._exchanges:
                    self._fault(number, PARTIAL)
                self._fault(number, "some threads of a block wait at a barrier that others never reach")
            start = min(runnable)
            here = runnable.pop(start)
            if start in self._exchanges:
                here = _together(start, here, waiting)
                if not here.any():
                    continue
            active = None if here.all() else here
            for number in self._blocks[start]:
                threads.order.steps += 1
                self._execute(number, threads, active)
            reached.update(self._blocks[start])
            total += len(self._blocks[start]) * int(here.reshape(-1, 32).any(-1).sum())
            for target, lanes in self._next(self._blocks[start][-1], threads, here, waiting):
                if lanes.any():
                    runnable[target] = runnable[target] | lanes if target in runnable else lanes
        return total

    def _execute(self, number: int, threads: Threads, active: Active) -> None:
        instruction = self.program.instructions[number]
        if instruction.guard is not None and instruction.opcode[0] != "bra":
            active = self._guarded(instruction, threads, active)
            if active is not None and not active.any():
                return
        try:
            self._runs[number](threads, active)
        except KernelError as fault:
            self._fault(number, str(fault))

    def _guarded(self, instruction: Instruction, threads: Threads, active: Active) -> Active:
        assert instruction.guard is not None
        guard = threads.full(self._operands.reading(instruction.guard, FORMATS["pred"])(threads)) ^ instruction.negated
        guard = guard if active is None else guard & active
        return None if guard.all() else guard

    def _next(self, number: int, threads: Threads, here: Array, waiting: dict[int, Array]) -> list[tuple[int, Array]]:
        """Where the lanes go from the last instruction of a basic block."""
        instruction, following = self.program.instructions[number], number + 1
        name = instruction.opcode[0]
        guarded = here
        if instruction.guard is not None:
            found = self._guarded(instruction, threads, here)
            guarded = here if found is None else found
        if name == "bra":
            return [(self.program.labels[instruction.operands[0]], guarded), (following, here & ~guarded)]
        if name in ("ret", "exit"):
            return [(following, here & ~guarded)]
        if name == "trap":
            self._fault(number, "a trap")
        if _is_control(instruction):
            return [(following, self._passing(number, threads, guarded, waiting)), (following, here & ~guarded)]
        return [(following, here)] if following < len(self.program.instructions) else []

    def _passing(self, number: int, threads: Threads, here: Array, waiting: dict[int, Array]) -> Array:
        """The lanes whose blocks are complete at a barrier; others wait."""
        if len(self.program.instructions[number].operands) != 1:
            raise NotImplementedError("instruction: got a barrier of some threads; takes one of all")
        size = self.program.threads
        passing = _together(number, here, waiting, size)
        complete = passing.reshape(-1, size).all(-1)
        threads.order.synchronize(threads.numbers[complete], threads.order.steps)
        return passing

    def _fault(self, number: int, why: str) -> None:
        instruction = self.program.instructions[number]
        raise KernelError(
            f"{self.program.name}: {instruction.text} ({instruction.source or f'number {number}'}): {why}"
        )


def _together(number: int, here: Array, waiting: dict[int, Array], size: int = 32) -> Array:
    """The lanes of groups of a size that are complete at an instruction; others wait."""
    there = here | waiting.pop(number, np.zeros_like(here))
    passing = np.repeat(there.reshape(-1, size).all(-1), size)
    if (there & ~passing).any():
        waiting[number] = there & ~passing
    return passing


def _is_of_whole_warps(instruction: Instruction) -> bool:
    """Does it exchange values among all lanes of a warp?"""
    return instruction.opcode[0] == "shfl" and instruction.operands[-1] in ("-1", "0xffffffff")


def _is_control(instruction: Instruction) -> bool:
    """Does it change which instruction is next? A barrier of a warp waits for no one who is not there."""
    return instruction.opcode[0] in _CONTROL and "warp" not in instruction.opcode


def _nothing(threads: Threads, active: Active) -> None:
    """What only changes which instruction is next."""


_ACCESSING = {"ld", "st", "atom", "red"}
_CONTROL = {"bra", "ret", "exit", "trap", "bar", "barrier"}


@lru_cache(maxsize=512)
def machine(text: str, which: Approximations, *, contract: bool) -> Machine:
    """The machine of a text, made once."""
    return Machine(text, which, contract=contract)
