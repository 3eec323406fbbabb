"""Instructions that a kernel issues for an element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.proofs.sm_model import path, pipes
from bench.proofs.sm_model.pipes import Kind
from bench.proofs.sm_model.sass import Instruction

KINDS: Final = tuple(kind.name.lower() for kind in Kind)
_LANES: Final = 32


@dataclass(frozen=True)
class Count:
    """What one kernel issues for an element.

    Attributes:
        kernel: the op, its dtypes, and forward or backward.
        per_element: instructions that a thread issues an element, by the name of their kind.
    """

    kernel: str
    target: str
    per_element: dict[str, float]

    @property
    def total(self) -> float:
        """Of all kinds."""
        return sum(self.per_element.values())


def per_element(code: Sequence[Instruction], warps: int, elements: int) -> dict[str, float]:
    """Instructions a thread issues an element, where a block of so many warps covers so many elements."""
    first, others = (pipes.counts(path.executed(code, first=first)) for first in (True, False))
    issued = {kind: first[kind] + (warps - 1) * others[kind] for kind in Kind}
    return {kind.name.lower(): number * _LANES / elements for kind, number in issued.items()}
