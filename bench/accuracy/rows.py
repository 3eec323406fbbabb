"""The results of a machine, ``accuracy.csv``: a row for each op, dtype, regime, result and implementation."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from bench import ROOT
from bench.machine import folder_name

RESULTS: Final = ROOT / "bench" / "results"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one implementation is off by.

    Attributes:
        date: when the run began, the same in all its rows.
        regime: of the inputs.
        result: ``"value"`` or another name of an output, ``"d NAME"`` the gradient of an input.
        implementation: ``"eager"``, ``"compile"``, an instruction set of the C++ kernels, or ``"interpreter"``: the
            Triton kernels in it.
        unit: ``"relative"`` (`bench.accuracy.errors`) or ``"last place"``, of what is summed (`bench.accuracy.scales`).
        elements: that were compared.
        worst, median: of their errors; the first infinite where one is NaN. Only the worst is known of all scales.
        wrong, not_finite: how many have no two digits right, and how many are no number.
    """

    date: str
    commit: str
    device: str
    torch: str
    triton: str
    fastvae: str
    op: str
    dtype: str
    regime: str
    result: str
    implementation: str
    unit: str
    elements: int
    worst: float
    median: float | None
    wrong: int | None
    not_finite: int | None

    @property
    def measurement(self) -> tuple[str, ...]:
        """What only a newer row replaces."""
        return self.op, self.dtype, self.regime, self.result, self.implementation


_COLUMNS: Final = tuple(field.name for field in fields(Row))


def file_of(device: str, results: Path = RESULTS) -> Path:
    """The file of a machine."""
    return results / folder_name(device) / "accuracy.csv"


def replace(path: Path, rows: Sequence[Row]) -> None:
    """Put rows into a file in place of older ones of the same measurements."""
    kept = {row.measurement: row for row in (read(path) if path.exists() else [])}
    kept |= {row.measurement: row for row in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _shown(value) for name, value in asdict(row).items()} for row in kept.values())


def read(path: Path) -> list[Row]:
    """Every row of a file.

    Raises:
        ValueError: it has other columns.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise ValueError(f"{path}: got columns that differ from this version's; takes a new file")
        return [_row(line) for line in reader]


def newest(results: Path = RESULTS) -> list[Row]:
    """The last row of each measurement, of whichever machine."""
    rows = [row for path in sorted(results.glob("*/accuracy.csv")) for row in read(path)]
    last: dict[tuple[str, ...], Row] = {}
    for row in sorted(rows, key=lambda row: row.date):
        last[row.measurement] = row
    return list(last.values())


def _shown(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else value


def _row(line: dict[str, str]) -> Row:
    texts = {name: line[name] for name in _COLUMNS[:12]}
    wrong, not_finite = (int(line[name]) if line[name] else None for name in ("wrong", "not_finite"))
    return Row(
        **texts, elements=int(line["elements"]), worst=float(line["worst"]),
        median=float(line["median"]) if line["median"] else None, wrong=wrong, not_finite=not_finite,
    )  # fmt: skip
