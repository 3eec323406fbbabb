"""What the trials of a sample give, and how the page says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import ROOT, pages
from tools.checks.mutations import extension, trials
from tools.checks.mutations.sampled import Mutant, module_of
from tools.checks.mutations.table import Row
from tools.checks.mutations.trials import Trial

FACTOR, LEAST_S = 5.0, 60.0
"""How much longer than without a change the tests of a file may take, and what they may take at least."""


def outcomes(mutants: Sequence[Mutant], folder: Path, build: Path, jobs: int) -> dict[int, str]:
    """``killed``, ``survived`` or ``timeout`` of each mutant that compiles, by its number.

    Raises:
        RuntimeError: tests fail without a change.
    """
    cpp: dict[str, dict[int, extension.Change]] = {}
    for mutant in mutants:
        if mutant.row.file.endswith(".h"):
            cpp.setdefault(mutant.row.file.removeprefix("csrc/"), {})[mutant.number] = mutant.change
    built, refused = extension.built(ROOT / "csrc", build, cpp, jobs) if cpp else (None, set[int]())
    tried = [mutant for mutant in mutants if mutant.number not in refused]

    def trial(row: Row, mutant: Mutant | None, limit_s: float) -> Trial:
        key = row.file if mutant is None else str(mutant.number)
        modules: dict[str, Path] = {}
        environment = {}
        if row.file.endswith(".h"):
            assert built is not None
            modules["fastvae._C"] = built
            environment[extension.CHOICE] = "-1" if mutant is None else str(mutant.number)
        elif mutant is not None:
            file = folder / f"{mutant.number}-{Path(row.file).name}"
            file.write_bytes(mutant.change.applied(mutant.source))
            modules[module_of(row.file)] = file
        return Trial(key, modules, environment, row.arguments, limit_s)

    for slow in ("torch", "triton"):
        __import__(slow)
    rows = list(dict.fromkeys(mutant.row for mutant in tried))
    seconds = {}
    for result in trials.run([trial(row, None, 1800) for row in rows], jobs, folder):
        print(f"{result.outcome} {result.seconds:.0f} s  {result.key}", flush=True)
        if result.outcome != "survived":
            said = trials.log_of(folder, result.key).read_text(errors="replace")
            raise RuntimeError(f"{result.key}: its tests fail without a change\n{said[-2000:]}")
        seconds[result.key] = result.seconds
    limits = {row: max(LEAST_S, FACTOR * seconds[row.file]) for row in rows}
    of_number = {str(mutant.number): mutant for mutant in tried}
    results = {}
    for result in trials.run([trial(m.row, m, limits[m.row]) for m in tried], jobs, folder):
        print(f"{result.outcome} {result.seconds:.0f} s  {of_number[result.key]}", flush=True)
        results[int(result.key)] = result.outcome
    return results


def text(mutants: Sequence[Mutant], results: Mapping[int, str], seed: int) -> str:
    """The table by file, and the changes that no test has seen."""
    counted: dict[str, Counter[str]] = {}
    for mutant in mutants:
        if mutant.number in results:
            counted.setdefault(mutant.row.file, Counter())[results[mutant.number]] += 1
    counted["all"] = sum(counted.values(), Counter[str]())
    rows = [
        [f"`{file}`" if file != "all" else file, *(str(of[outcome]) for outcome in ("killed", "timeout", "survived"))]
        for file, of in counted.items()
    ]
    survivors = [f"- {mutant}" for mutant in mutants if results.get(mutant.number) == "survived"]
    head = f"{len(results)} changes, seed {seed}. A test that hangs has seen the change, too."
    table = pages.table(("file", "killed", "timeout", "survived"), rows)
    return "\n".join([head, "", table, "", "Survivors:", "", *(survivors or ["None."])])
