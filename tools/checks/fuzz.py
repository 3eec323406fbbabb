"""Calls of every public function on arguments that hypothesis draws, against the reference: the nightly profile.

`python -m tools.checks.fuzz --cases 100000 --processes 2 --seed 1` takes about ten minutes of a core, and writes what
it found into docs/checks.md. `tests/fuzz` has the cases and what must hold for them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final, NamedTuple, TypeVar

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz import agreement
from tests.fuzz import mistakes as mistaken
from tests.fuzz.surface import CASES
from tools.checks.page import record

T = TypeVar("T")

EXAMPLES: Final = 30
"""Of one strategy in a chunk: hypothesis remembers all that it drew."""
LAYOUTS: Final = 14
MEMORY: Final = 4 * 2**30
CHUNKS_OF_A_PROCESS: Final = 40


class Chunk(NamedTuple):
    """Examples of one function: of calls that are right, or of mistakes."""

    op: str
    seed: int
    wrong: bool


class Found(NamedTuple):
    """How many calls of a chunk there were by dtype, and the cases that showed a fault, with what it was."""

    chunk: Chunk
    calls: Counter[str]
    faults: list[str]


def main() -> None:
    """Run the cases and write the table."""
    options = _options()
    print(f"seed {options.seed}")
    begun = time.monotonic()
    calls: Counter[tuple[str, bool]] = Counter()
    dtypes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for found in _run(options.cases, options.seed, options.processes, options.minutes):
        calls[found.chunk.op, found.chunk.wrong] += found.calls.total()
        dtypes += found.calls
        faults[found.chunk.op] += len(found.faults)
        for fault in found.faults:
            print(fault, flush=True)
    seconds = time.monotonic() - begun
    table = _table(calls, dtypes, faults, seconds, options.processes, options.seed)
    print(table)
    if not options.dry_run:
        record("fuzz", table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="calls, about; default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31), help="default: a new one")
    parser.add_argument("--processes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin nothing after so many; default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="leave docs/checks.md as it is")
    return parser.parse_args()


def _run(cases: int, first_seed: int, processes: int, minutes: float) -> Iterator[Found]:
    """The results of each chunk, as they come. No process lives long enough to fill the memory."""
    end = time.monotonic() + 60 * minutes
    chunks = _chunks(cases, first_seed)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _bound, max_tasks_per_child=CHUNKS_OF_A_PROCESS) as pool:
        for begun in range(0, len(chunks), 4 * processes):
            if time.monotonic() > end:
                return
            yield from pool.map(examine, chunks[begun : begun + 4 * processes])


def _chunks(cases: int, first_seed: int) -> list[Chunk]:
    """Function by function in turn, so that fewer cases are fewer of each."""
    rounds = max(1, round(cases / len(CASES) / (EXAMPLES * (1 + LAYOUTS))))
    return [
        Chunk(op, first_seed + number, wrong)
        for number in range(rounds)
        for wrong in (False, True)
        for op in CASES
        if not wrong or number % 2 == 0
    ]


def _bound() -> None:
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def examine(chunk: Chunk) -> Found:
    """Run one chunk in this process."""
    found = Found(chunk, Counter(), [])

    def right(case: agreement.Case) -> None:
        found.calls[_dtype(case)] += agreement.check(case, LAYOUTS)

    def wrong(mistake: mistaken.Mistake) -> None:
        mistaken.check(mistake)
        found.calls[_dtype(mistake.case)] += 1

    if chunk.wrong:
        _each(mistaken.mistakes(CASES[chunk.op]), wrong, found.faults, chunk.seed)
    else:
        _each(CASES[chunk.op], right, found.faults, chunk.seed)
    return found


def _dtype(case: agreement.Case) -> str:
    return str(next(iter(case.operands.values())).dtype).removeprefix("torch.")


def _each(strategy: st.SearchStrategy[T], check: Callable[[T], None], faults: list[str], of_seed: int) -> None:
    """Check examples of a strategy; what is raised becomes a fault, and the next example is drawn."""

    @seed(of_seed)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def run(example: T) -> None:
        try:
            check(example)
        except Exception as error:
            faults.append(f"{example}\n    {type(error).__name__}: {error}")

    run()


def _table(
    calls: Counter[tuple[str, bool]],
    dtypes: Counter[str],
    faults: Counter[str],
    seconds: float,
    processes: int,
    of_seed: int,
) -> str:
    of_dtypes = ", ".join(f"{name} {count:,}" for name, count in dtypes.most_common())
    lines = [
        f"{calls.total():,} calls in {seconds:,.0f} s on {processes} processes, seed {of_seed}: values and all "
        f"gradients against the reference, each example in {1 + LAYOUTS} layouts; and arguments of the wrong kind, "
        f"which must be refused by name. By dtype: {of_dtypes}. "
        f"Faults: {faults.total()}.",
        "",
        "| function | calls | wrong arguments | faults |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{op}` | {calls[op, False]:,} | {calls[op, True]:,} | {faults[op]} |" for op in CASES]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
