"""One process a provider and target: puts its kernels of large tensors into the model, one line of JSON each.

``python -m bench.proofs.sm_model.one_target PROVIDER TARGET TEXT [count]``: the ops that have the text in their names;
with ``count``, no cycles.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Final

from triton.compiler import CompiledKernel

from bench import large_ops
from bench.ops import Op
from bench.proofs.compiled import inductor, large, machine_code
from bench.proofs.compiled.driver import TARGETS
from bench.proofs.compiled.inductor import Candidate, Direction
from bench.proofs.sm_model import sass
from bench.proofs.sm_model.kernels import KINDS, Compiled, Prediction
from bench.proofs.sm_model.machine import MACHINES, Machine
from bench.proofs.sm_model.path import paths

_MOST_PASSES: Final = 4
"""Through a loop that are simulated."""


def _read(kernel: CompiledKernel, elements: float, passes: int = 1) -> Compiled:
    cubin = kernel.asm["cubin"]
    registers, *_ = machine_code.resources(cubin)
    code = sass.parse(machine_code.listing(cubin))
    metadata = kernel.metadata
    return Compiled(paths(code, passes=passes), registers, metadata.shared, metadata.num_warps, elements)


def fused(target: str, ops: Sequence[Op], machines: Sequence[Machine]) -> Iterator[Prediction]:
    """fastvae's kernels."""
    for name, kernel, elements in large.compiled(target, ops):
        found = _read(kernel, elements)
        cycles = {machine.name: found.cycles(machine) for machine in machines}
        yield Prediction("fastvae", name, target, found.per_element, found.bytes, cycles)


def generated(target: str, ops: Sequence[Op], machines: Sequence[Machine]) -> Iterator[Prediction]:
    """Inductor's: those of a direction together, each in the configuration that is fastest in the model."""
    for op in ops:
        for name, direction in zip(("forward", "backward"), inductor.compiled(op, TARGETS[target]), strict=True):
            if direction.kernels:
                yield _sum(f"{large_ops.name_of(op)} {name}", target, direction, machines)


def _sum(name: str, target: str, direction: Direction, machines: Sequence[Machine]) -> Prediction:
    kernels = [[_candidate(candidate, direction.elements) for candidate in kernel] for kernel in direction.kernels]
    moved = direction.bytes / direction.elements
    # Masked loads of what another program needs are issued, but move nothing: inductor's own count knows.
    part = min(1.0, moved / sum(kernel[0].bytes for kernel in kernels))
    fewest = [min((found.per_element for found in kernel), key=lambda kinds: sum(kinds.values())) for kernel in kernels]
    issued = {kind: sum(kinds[kind] for kinds in fewest) for kind in KINDS}
    cycles = {
        machine.name: sum(min(found.cycles(machine, moved=part) for found in kernel) for kernel in kernels)
        for machine in machines
    }
    return Prediction("inductor", name, target, issued, moved, cycles)


def _candidate(candidate: Candidate, elements: int) -> Compiled:
    passes = min(candidate.passes, _MOST_PASSES)
    return _read(candidate.kernel, elements / candidate.programs * passes / candidate.passes, passes)


_PROVIDERS: Final[dict[str, Callable[[str, Sequence[Op], Sequence[Machine]], Iterator[Prediction]]]] = {
    "fastvae": fused,
    "inductor": generated,
}


def main(provider: str, target: str, text: str, *only: str) -> None:
    """Print the predictions as JSON."""
    ops = [op for op in large_ops.OPS if text in large_ops.name_of(op)]
    machines = [] if only == ("count",) else [machine for machine in MACHINES.values() if machine.target == target]
    for prediction in _PROVIDERS[provider](target, ops, machines):
        print(json.dumps(asdict(prediction)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
