"""The CSV of results: one row a provider, mode, size and setting. Plots and tables read nothing else."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from bench import ROOT


class Judged:
    """A row that may have a must: its ratio, or on fastvae's own row what `reached` says of a bound."""

    provider: str
    ratio: float
    must: float | None
    goal: float | None

    @property
    def reached(self) -> bool:
        """Whether fastvae's own row kept within the bound that `must` gives it."""
        raise NotImplementedError

    @property
    def holds(self) -> bool | None:
        """Whether the row reached its must; None where it has none."""
        if self.must is None:
            return None
        return self.reached if self.provider == "fastvae" else self.ratio >= self.must


@dataclass(frozen=True, kw_only=True)
class Row(Judged):
    """What one provider took, and what it was to take.

    Attributes:
        date: when the run began, the same in all its rows.
        regime: of the allocator, see `bench.regimes`.
        mode: ``"forward"``, ``"backward"``, ``"both"`` or ``"step"``.
        rounds: how often each provider was timed.
        ratio: the provider's time over fastvae's of the same round, median.
        must, goal: what `ratio` is to be at least; on fastvae's own row, what `floor` is to be at most.
        floor: the time over that of the triad for the case's `min_bytes`.
        page_faults: pages first touched in a call, median.
        peak_bytes: the most bytes a call allocated at once; of fastvae's at most `max_peak_bytes`.
    """

    date: str
    commit: str
    cpu: str
    cores: int
    capability: str
    torch: str
    fastvae: str
    threads: int
    regime: str
    op: str
    size: str
    dtype: str
    target: str
    mode: str
    provider: str
    elements: int
    rounds: int
    median_s: float
    q20_s: float
    q80_s: float
    ratio: float
    ratio_q20: float
    ratio_q80: float
    must: float | None
    goal: float | None
    min_bytes: int | None
    triad_bytes_per_s: float
    floor: float | None
    page_faults: int
    peak_bytes: int
    max_peak_bytes: int | None

    @property
    def reached(self) -> bool:
        """Whether the time was at most so many times the floor."""
        return self.floor is not None and self.must is not None and self.floor <= self.must

    @property
    def small_enough(self) -> bool | None:
        """Whether the peak stayed within its bytes; None where nothing was asked."""
        return None if self.max_peak_bytes is None else self.peak_bytes <= self.max_peak_bytes


class AnyRow(Protocol):
    """A dataclass whose fields are text, numbers or None: the columns of a file."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def date(self) -> str:
        """When the run began."""


R = TypeVar("R", bound=AnyRow)


def append(path: Path, rows: Sequence[AnyRow]) -> None:
    """Add rows to a file, which begins with the names of the columns.

    Raises:
        ValueError: the file has other columns.
    """
    if not rows:
        return
    kind = type(rows[0])
    check(path, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns(kind), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows({name: _shown(value) for name, value in asdict(row).items()} for row in rows)


def read(path: Path, kind: type[R]) -> list[R]:
    """Every row of a file.

    Raises:
        ValueError: the file has other columns.
    """
    check(path, kind)
    types = get_type_hints(kind)
    with path.open(newline="", encoding="utf-8") as file:
        return [
            kind(**{name: _value(types[name], text) for name, text in line.items()}) for line in csv.DictReader(file)
        ]


def newest(path: Path, kind: type[R]) -> list[R]:
    """The rows of the last run in a file."""
    rows = read(path, kind)
    if not rows:
        raise ValueError(f"{path}: got no rows; takes a run's")
    last = max(row.date for row in rows)
    return [row for row in rows if row.date == last]


def latest_file() -> Path:
    """The ``cpu.csv`` of the machine measured last.

    Raises:
        FileNotFoundError: nothing was measured.
    """
    files = sorted((ROOT / "bench" / "results").glob("*/cpu.csv"), key=lambda path: newest(path, Row)[0].date)
    if not files:
        raise FileNotFoundError("bench/results: got no cpu.csv; python -m bench.run measures one")
    return files[-1]


def check(path: Path, kind: type[AnyRow]) -> None:
    """That rows can be added to a file, or that there is none yet.

    Raises:
        ValueError: it has other columns.
    """
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        header = tuple(next(csv.reader(file), ()))
    if header != _columns(kind):
        raise ValueError(f"{path}: got columns that differ from this version's; takes a new file")


def _columns(kind: type[AnyRow]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _shown(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value


def _value(kind: Any, text: str) -> Any:
    if kind is str:
        return text
    if text == "":
        return None
    return int(text) if kind in (int, int | None) else float(text)
