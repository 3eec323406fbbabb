"""What the model says of the kernels of large tensors, as text."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bench.proofs import worker
from bench.proofs.sm_model import requirements
from bench.proofs.sm_model.kernels import KINDS, Prediction
from bench.proofs.sm_model.machine import MACHINES

TARGETS: Final = tuple(dict.fromkeys(machine.target for machine in MACHINES.values()))
PROVIDERS: Final = ("fastvae", "inductor")
_WORKER: Final = "bench.proofs.sm_model.one_target"


def count(target: str, *, only: str = "", environment: Mapping[str, str] = os.environ) -> list[Prediction]:
    """Instructions an element of fastvae's kernels of the ops with `only` in their names.

    Raises:
        RuntimeError: something did not compile.
    """
    found = worker.findings(_WORKER, "fastvae", target, only, "count", environment=environment)
    return [Prediction(**row) for row in found]


def predict(*, only: str = "", environment: Mapping[str, str] = os.environ, at_once: int = 2) -> list[Prediction]:
    """The predictions of fastvae's kernels and of inductor's, for all GPUs of the model.

    Raises:
        RuntimeError: something did not compile.
    """
    run = functools.partial(_predictions, only=only, environment=environment)
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        found = pool.map(run, *zip(*itertools.product(PROVIDERS, TARGETS), strict=True))
        return list(itertools.chain.from_iterable(found))


def _predictions(provider: str, target: str, *, only: str, environment: Mapping[str, str]) -> list[Prediction]:
    found = worker.findings(_WORKER, provider, target, only, environment=environment)
    return [Prediction(**row) for row in found]


def counts(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Instructions an element by kind, and how many they must be at most, or are to be."""
    width = max((len(found.kernel) for found in predictions), default=0)
    for target, of_target in itertools.groupby(predictions, lambda found: found.target):
        yield f"\n{f'{target}, instructions an element':{width}}    all{''.join(f'{kind:>9}' for kind in KINDS)}"
        for found in of_target:
            kinds = "".join(f"{found.per_element[kind]:9.1f}" for kind in KINDS)
            yield f"{found.kernel:{width}} {found.instructions:6.1f}{kinds}{_verdict(found)}"


def _verdict(found: Prediction) -> str:
    limit = requirements.limit(found.kernel)
    if limit is None or found.instructions <= limit.goal:
        return ""
    return f"  MUST BE {limit.must}" if found.instructions > limit.must else f"  goal {limit.goal}"


def shares(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Bytes an element of fastvae's kernels, and the predicted share of a copy's bandwidth on each GPU."""
    ours = _by_kernel(predictions, "fastvae")
    width = max(map(len, ours), default=0)
    yield f"\n{'predicted share of copy bandwidth':{width}}  bytes{''.join(f'{gpu:>7}' for gpu in MACHINES)}"
    for kernel, cycles in ours.items():
        moved = next(found.bytes for found in predictions if found.kernel == kernel and found.provider == "fastvae")
        of_copy = "".join(f"{share(moved, cycles[gpu], gpu):7.2f}" for gpu in MACHINES)
        yield f"{kernel:{width}} {moved:6.2f}{of_copy}"


def share(bytes: float, cycles: float, gpu: str) -> float:
    """The bytes of an element in these cycles, as a part of what a copy moves."""
    return bytes / cycles / MACHINES[gpu].bytes_per_cycle


def ratios(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Inductor's predicted time over fastvae's, of forward, of backward and of both, on each GPU."""
    times = {provider: _by_kernel(predictions, provider) for provider in PROVIDERS}
    ops = list(dict.fromkeys(kernel.rpartition(" ")[0] for kernel in times["inductor"]))
    width = max(map(len, ops), default=0)
    yield f"\n{'predicted time, inductor / fastvae':{width}}" + "".join(f"{gpu:>24}" for gpu in MACHINES)
    yield " " * width + " forward backward   both" * len(MACHINES)
    for op in ops:
        line = "".join(_ratio(times, op, gpu) for gpu in MACHINES)
        yield f"{op:{width}}{line}"


def _ratio(times: Mapping[str, Mapping[str, Mapping[str, float]]], op: str, gpu: str) -> str:
    """Of forward, backward and both. A backward that launches nothing for its elements takes no time."""
    inductor, ours = (
        [times[provider].get(f"{op} {direction}", {}).get(gpu, 0.0) for direction in ("forward", "backward")]
        for provider in PROVIDERS[::-1]
    )
    pairs = (*zip(inductor, ours, strict=True), (sum(inductor), sum(ours)))
    forward, backward, both = (f"{theirs / our:.2f}" if our else "-" for theirs, our in pairs)
    return f"{forward:>8} {backward:>8} {both:>6}"


def _by_kernel(predictions: Sequence[Prediction], provider: str) -> dict[str, dict[str, float]]:
    """Cycles an element by kernel and GPU."""
    cycles: dict[str, dict[str, float]] = {}
    for found in predictions:
        if found.provider == provider:
            cycles.setdefault(found.kernel, {}).update(found.cycles)
    return cycles
