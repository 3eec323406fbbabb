"""The changes that are tried: a sample of each file's, always the same for a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench import ROOT
from tools.checks.mutations import of_cpp, of_python
from tools.checks.mutations.change import Change
from tools.checks.mutations.table import TABLE, Row


class Mutant(NamedTuple):
    """A change of a file, whose number chooses it."""

    number: int
    row: Row
    change: Change

    @property
    def source(self) -> bytes:
        """The file as it is."""
        return (ROOT / self.row.file).read_bytes()

    def __str__(self) -> str:
        source, change = self.source, self.change
        before = " ".join(source[change.begin : change.stop].decode().split())
        after = " ".join(change.expression(source).split())
        return f"{self.row.file}:{change.line(source)}: `{before}` → `{after}`"


def all_changes(rows: tuple[Row, ...] = TABLE) -> Mapping[Row, list[Change]]:
    """The changes of each row's file."""
    units = sorted((ROOT / "csrc" / "kernels").glob("*.cpp"))
    headers = [row for row in rows if row.file.endswith(".h")]
    trees = [of_cpp.parsed(unit, ROOT / "csrc") for unit in units] if headers else []
    changes = {row: of_python.changes((ROOT / row.file).read_bytes(), row.exact) for row in rows if row not in headers}
    for row in headers:
        # The first unit that includes the header.
        changes[row] = next((some for tree in trees if (some := of_cpp.changes(tree, ROOT / row.file, row.exact))), [])
    return {row: changes[row] for row in rows}


def sample(count: int, seed: int, only: str = "") -> list[Mutant]:
    """About `count` changes, of each file as its share of all changes is, and at least two.

    Args:
        count: how many, over all files of the table.
        seed: of the choice, which is each file's own: it does not depend on the others.
        only: takes files with this in their path.
    """
    rows = tuple(row for row in TABLE if only in row.file)
    changes = all_changes(rows)
    total = sum(map(len, changes.values()))
    mutants: list[Mutant] = []
    for row, some in changes.items():
        wanted = min(len(some), max(2, round(count * len(some) / total)))
        chosen = random.Random(f"{seed} {row.file}").sample(some, wanted)
        mutants += [Mutant(len(mutants) + at, row, change) for at, change in enumerate(chosen)]
    return mutants


def module_of(file: str) -> str:
    """The name that a file of the package is imported by."""
    return ".".join(Path(file).with_suffix("").parts)
