"""Instructions as a scheduler sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from bench.proofs.sm_model import lanes
from bench.proofs.sm_model.machine import (
    CACHE_LATENCY,
    LATENCIES,
    LINE_BYTES,
    LSU_BYTES,
    OTHER_LATENCY,
    SHARED_LATENCY,
    Machine,
)
from bench.proofs.sm_model.pipes import Pipe, classify
from bench.proofs.sm_model.sass import BARRIERS, Instruction

UNITS: Final = (Pipe.FMA_HEAVY, Pipe.FMA, Pipe.ALU, Pipe.XU, Pipe.FP64, Pipe.LSU, Pipe.UNIFORM)
"""That a scheduler has, the halves of the float32 pipe apart."""
_FROM_MEMORY: Final = ("LDG", "LD", "ATOM", "ATOMG")
_FROM_SHARED: Final = ("LDS", "ATOMS")
_TO_SHARED: Final = ("STS", "STSM")


class Step(NamedTuple):
    """An instruction as a scheduler sees it.

    Attributes:
        units: those that may run it, as indices into `UNITS`; none for a branch.
        slots: cycles that its scheduler is busy with it.
        busy: cycles that the unit is.
        stall: cycles until the warp may issue the next.
        writes, reads: the barriers that are released when the result is there, and when the operands were read.
        waits: the barriers that it waits for.
        passing: cycles that it takes the unit of loads and stores, which the schedulers share.
        queued: cycles that its bytes take the queue to memory.
        latency: cycles from there to its result.
        gathers: whether it waits for all warps of the block.
    """

    units: tuple[int, ...]
    slots: int
    busy: int
    stall: int
    writes: int
    reads: int
    waits: tuple[int, ...]
    passing: float
    queued: float
    latency: int
    gathers: bool


def steps(path: Sequence[Instruction], machine: Machine, *, moved: float = 1.0) -> list[Step]:
    """The path of a warp, as the schedulers of a machine see it; `moved` is the part of its bytes that it moves."""
    found = []
    reached: set[int] = {0}
    for instruction, bytes in zip(path, lanes.moved_bytes(path), strict=True):
        line = instruction.address // LINE_BYTES
        found.append(_step(instruction, moved * bytes, 1 if line in reached else 2, machine))
        reached.add(line)
    return found


def _step(instruction: Instruction, moved: float, slots: int, machine: Machine) -> Step:
    pipe = classify(instruction).pipe
    units: tuple[int, ...] = (UNITS.index(pipe),) if pipe in UNITS else ()
    if pipe is Pipe.FMA:
        units = (1, 0) if machine.halves == 2 else (0,)
    latency = LATENCIES.get(pipe, OTHER_LATENCY)
    if instruction.name in _FROM_MEMORY:
        latency = machine.memory_latency if moved else CACHE_LATENCY
    elif instruction.name in _FROM_SHARED:
        latency = SHARED_LATENCY
    shared = instruction.name in (*_FROM_SHARED, *_TO_SHARED)
    passed = lanes.LANES * lanes.width(instruction) if shared else moved
    return Step(
        units,
        slots,
        machine.busy[pipe],
        max(1, instruction.stall),
        instruction.writes,
        instruction.reads,
        tuple(barrier for barrier in range(BARRIERS) if instruction.waits >> barrier & 1),
        max(1.0, passed / LSU_BYTES) if pipe is Pipe.LSU else 0.0,
        moved / machine.bytes_per_cycle,
        latency,
        instruction.name == "BAR",
    )
