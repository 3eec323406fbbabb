"""A compiled kernel in the model: what it issues, moves and takes for an element."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

from bench.proofs.sm_model import lanes, pipes
from bench.proofs.sm_model.lanes import LANES
from bench.proofs.sm_model.machine import Machine, resident
from bench.proofs.sm_model.path import Paths
from bench.proofs.sm_model.pipes import Kind
from bench.proofs.sm_model.simulate import Multiprocessor
from bench.proofs.sm_model.steps import steps

KINDS: Final = tuple(kind.name.lower() for kind in Kind)


class Compiled(NamedTuple):
    """A kernel for a target.

    Attributes:
        registers: a thread.
        shared: bytes of shared memory a block.
        warps: of a block.
        elements: that a block covers.
    """

    paths: Paths
    registers: int
    shared: int
    warps: int
    elements: float

    @property
    def per_element(self) -> dict[str, float]:
        """Instructions that a thread issues for an element, by the name of their kind."""
        issued = Counter(pipes.classify(step).kind for path in self.paths.of_block(self.warps) for step in path)
        return {kind.name.lower(): issued[kind] * LANES / self.elements for kind in Kind}

    @property
    def bytes(self) -> float:
        """That it moves to and from the device's memory for an element."""
        return sum(sum(lanes.moved_bytes(path)) for path in self.paths.of_block(self.warps)) / self.elements

    def cycles(self, machine: Machine, *, moved: float = 1.0) -> float:
        """Of one multiprocessor, for an element, in the steady state; of its bytes it moves the part `moved`.

        A masked load that no lane takes is issued all the same.
        """
        first, others = (steps(path, machine, moved=moved) for path in self.paths)
        blocks = resident(machine, self.registers, self.warps, self.shared)
        return Multiprocessor(first, others, self.warps, blocks).run() / self.elements


@dataclass(frozen=True)
class Prediction:
    """What one kernel costs an element.

    Attributes:
        provider: whose kernel it is.
        kernel: the op, its dtypes, and forward or backward.
        per_element: instructions that a thread issues, by the name of their kind.
        bytes: moved.
        cycles: of one multiprocessor, by the name of the GPU.
    """

    provider: str
    kernel: str
    target: str
    per_element: dict[str, float]
    bytes: float
    cycles: dict[str, float]

    @property
    def instructions(self) -> float:
        """Of all kinds."""
        return sum(self.per_element.values())
