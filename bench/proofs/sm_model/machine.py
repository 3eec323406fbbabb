"""The parameters of the model, each with its source.

One of them is fitted, the cycle that a line of instructions costs; a few that make little difference are assumed. Left
out: bank conflicts of registers, partitions of the second-level cache, what that cache holds of an earlier kernel, and
the first and the last blocks of a launch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from bench.proofs.sm_model.pipes import Pipe

SCHEDULERS: Final = 4
"""Of a multiprocessor, each with pipes of its own (CUDA C++ programming guide, compute capabilities 8.0 and 9.0)."""


class Machine(NamedTuple):
    """A GPU.

    Attributes:
        target: what kernels are compiled for.
        multiprocessors: of the device.
        hertz: of its multiprocessors under load.
        copy: bytes a second that a copy reads and writes.
        halves: of the float32 pipe that take float32; each is busy for two cycles an instruction.
        busy: cycles that another pipe of a scheduler is busy with an instruction of a warp.
        memory_latency: cycles from a load to its data when nothing else is under way.
        shared_bytes: shared memory of a multiprocessor.
    """

    name: str
    target: str
    multiprocessors: int
    hertz: float
    copy: float
    halves: int
    busy: Mapping[Pipe, int]
    memory_latency: int
    shared_bytes: int

    @property
    def bytes_per_cycle(self) -> float:
        """The share of a copy's bandwidth that one multiprocessor has."""
        return self.copy / self.multiprocessors / self.hertz


# 32 threads over the results a cycle and scheduler in the programming guide, "Throughput of native arithmetic
# instructions": 16 lanes of ALU and integer multiplication, 4 of special functions, 8 or 16 of float64; 32 threads a
# cycle for all four schedulers' loads and stores. A uniform instruction takes two cycles (Huerta et al., "Analyzing
# modern NVIDIA GPU cores", 2025).
_SM_90: Final = {
    Pipe.FMA: 2, Pipe.FMA_HEAVY: 2, Pipe.ALU: 2, Pipe.XU: 8, Pipe.FP64: 2, Pipe.LSU: 2, Pipe.UNIFORM: 2,
    Pipe.CONTROL: 1,
}  # fmt: skip
_SM_80: Final = {**_SM_90, Pipe.FP64: 4}

# Luo et al., "Benchmarking and dissecting the NVIDIA Hopper GPU architecture", 2024, table of latencies.
_A100_LATENCY, _H100_LATENCY = 466, 479
CACHE_LATENCY: Final = 263
"""Of the second-level cache, on both (the same table)."""
SHARED_LATENCY: Final = 29
"""Of shared memory, on both (the same table)."""
LATENCIES: Final = {Pipe.XU: 24, Pipe.FP64: 20, Pipe.LSU: 30}
OTHER_LATENCY: Final = 12
"""Cycles until a result is there where no fixed time is counted on (Huerta et al. report such for an Ampere GPU)."""
LSU_BYTES: Final = 128
"""That loads and stores pass to the caches a cycle: a line (the guide, on shared memory and the first-level cache)."""
LINE_BYTES: Final = 128
"""Of a line of instructions. A scheduler loses a cycle where a warp reaches one for the first time, not where a loop
repeats it: fitted to the active cycles that Nsight Compute saw (bench/results/h100/profile.csv)."""
REPLACED, RELEASED, OPERANDS_READ = 200, 12, 12
"""Assumed: cycles until a block that ended is replaced, until warps go on behind a barrier, until operands of loads and
stores were read."""

REGISTERS: Final = 65536
REGISTERS_TOGETHER: Final = 256
"""Registers are given to a warp in such portions."""
MOST_WARPS, MOST_BLOCKS = 64, 32
RESERVED_SHARED: Final = 1024
"""Bytes of shared memory that a block takes beside its own (all in the guide's table of compute capabilities)."""

MACHINES: Final = {
    machine.name: machine
    for machine in (
        # Data sheet; the copy is BabelStream's on the model of 80 GB.
        Machine("A100", "sm_80", 108, 1.41e9, 1.76e12, 1, _SM_80, _A100_LATENCY, 164 * 1024),
        # The copy is that of bench/results/h100/gpu.csv, the clock follows from the instructions, the time and the
        # active cycles in profile.csv beside it.
        Machine("H100", "sm_90", 132, 1.94e9, 3.01e12, 2, _SM_90, _H100_LATENCY, 228 * 1024),
        # The same chip as the H100's; a copy was measured apart.
        Machine("H200", "sm_90", 132, 1.94e9, 4.3e12, 2, _SM_90, _H100_LATENCY, 228 * 1024),
    )
}


def resident(machine: Machine, registers: int, warps: int, shared: int) -> int:
    """Blocks of so many warps, registers a thread and bytes of shared memory that a multiprocessor has at a time."""
    per_warp = -(-32 * registers // REGISTERS_TOGETHER) * REGISTERS_TOGETHER
    return min(
        MOST_BLOCKS,
        MOST_WARPS // warps,
        REGISTERS // (per_warp * warps),
        machine.shared_bytes // (shared + RESERVED_SHARED),
    )
