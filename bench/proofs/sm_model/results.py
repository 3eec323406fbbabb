"""Predictions as rows of a CSV file, which the pages are generated from."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from bench import machine
from bench.proofs.sm_model.kernels import Prediction

FILE: Final = "model.csv"


@dataclass(frozen=True)
class Row:
    """A prediction for one GPU.

    Attributes:
        commit: of fastvae.
        torch, triton: the versions that generated the code.
        fp32 to fp64: instructions an element of each kind.
        bytes: an element.
        cycles: of one multiprocessor, an element.
    """

    commit: str
    torch: str
    triton: str
    provider: str
    kernel: str
    gpu: str
    fp32: float
    integer: float
    special: float
    memory: float
    control: float
    fp64: float
    bytes: float
    cycles: float

    @property
    def instructions(self) -> float:
        """An element, of all kinds."""
        return self.fp32 + self.integer + self.special + self.memory + self.control + self.fp64


def append(path: Path, predictions: Sequence[Prediction], commit: str) -> None:
    """Add rows to a file that may not be there yet."""
    versions = (machine.version("torch"), machine.version("triton"))
    rows = [_of(found, gpu, (commit, *versions)) for found in predictions for gpu in found.cycles]
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(field.name for field in fields(Row))
        writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in astuple(row)] for row in rows)


def _of(found: Prediction, gpu: str, made: tuple[str, str, str]) -> Row:
    kinds: dict[str, Any] = dict(found.per_element)
    return Row(*made, found.provider, found.kernel, gpu, **kinds, bytes=found.bytes, cycles=found.cycles[gpu])


def load(path: Path) -> list[Row]:
    """The rows of a file, the oldest first."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_row(row) for row in csv.DictReader(file)]


def _row(cells: dict[str, Any]) -> Row:
    for field in fields(Row):
        if field.type == "float":
            cells[field.name] = float(cells[field.name])
    return Row(**cells)


def newest(rows: Sequence[Row], commit: str = "") -> list[Row]:
    """Of each kernel on each GPU the newest row; of a commit where one is named."""
    chosen = [row for row in rows if not commit or row.commit == commit]
    return list({(row.provider, row.kernel, row.gpu): row for row in chosen}.values())
