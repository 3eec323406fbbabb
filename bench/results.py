"""The CSV of results, of CPUs and of GPUs: one row a provider, op, size and setting.

Tables and pictures read nothing else.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints

from bench import ROOT
from bench.timing import Spread

FASTVAE: Final = "fastvae"
GRAPH: Final = "_graph"
SIGMOID: Final = "_sigmoid"


class Required(NamedTuple):
    """What a row is to reach at least, and what it is after."""

    must: float
    goal: float | None


class Bound(NamedTuple):
    """What a call used of something, and the most that it may use."""

    of: str
    used: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one provider took, and what it was to take. A column that a device or a run knows nothing of is empty.

    Attributes:
        date: when the run began, the same in all its rows.
        device: the CPU or the GPU.
        cores, capability, threads, regime: of a CPU; the instruction set of the kernels, and the allocator's regime
            (`bench.cpu.regimes`).
        driver, cuda, triton: of a GPU.
        dtype, target: of the inputs, and of the target tensor where there is one, else ``"-"``.
        mode: ``"forward"``, ``"backward"``, ``"both"`` or ``"step"``, a whole training step.
        provider: ``"fastvae"``, ``"eager"`` or ``"compile"``; with ``"_sigmoid"`` behind it, binary cross entropy on
            the probabilities of a sigmoid; with ``"_graph"``, replayed as a CUDA graph. ``"fastvae_compile"`` is a
            step of fastvae's under torch.compile.
        launch_bound: on a GPU, timed on the CPU's clock, launches included (1); else between events of the device.
        rounds, calls: how often the provider was timed, and how many calls together.
        ratio: the provider's time over fastvae's of the same round, median; under graphs both are.
        alone_s: the time of a call in a loop that calls nothing else, median.
        alone_ratio: `alone_s` over fastvae's, loops in turn, median.
        must, goal: what `ratio` is to be at least; on fastvae's own row, what `of_bandwidth` is.
        min_bytes: what the op must move, forward and backward together.
        bytes_per_s: the bandwidth of memory that the same run has found: STREAM's triad on a CPU, a copy on a GPU.
        of_bandwidth: the part of it at which the provider moved `min_bytes`.
        page_faults: pages first touched in a call, median.
        peak_bytes: the most bytes a call allocated at once; of fastvae's at most `max_peak_bytes`.
        launches_forward, launches_backward: kernels, copies and fills of each pass; fastvae's at most `max_forward` and
            `max_backward`.
    """

    date: str
    commit: str
    device: str
    cores: int | None
    capability: str = ""
    driver: str
    cuda: str
    torch: str
    triton: str
    fastvae: str
    threads: int | None = None
    regime: str = ""
    op: str
    size: str
    dtype: str
    target: str
    mode: str
    provider: str
    elements: int
    launch_bound: int | None = None
    rounds: int
    calls: int = 1
    median_s: float
    q20_s: float
    q80_s: float
    ratio: float | None
    ratio_q20: float | None
    ratio_q80: float | None
    alone_s: float | None = None
    alone_ratio: float | None = None
    must: float | None = None
    goal: float | None = None
    min_bytes: int | None = None
    bytes_per_s: float | None = None
    of_bandwidth: float | None = None
    page_faults: int | None = None
    peak_bytes: int | None = None
    max_peak_bytes: int | None = None
    launches_forward: int | None = None
    launches_backward: int | None = None
    max_forward: int | None = None
    max_backward: int | None = None

    @property
    def case(self) -> str:
        """The op and its size, as in tables and pictures."""
        kinds = [*(["bf16"] if self.dtype == "bfloat16" else []), *(["uint8"] if self.target == "uint8" else [])]
        return ", ".join([f"{self.op} {self.size}", *kinds])

    @property
    def measurement(self) -> tuple[object, ...]:
        """What rows share that were measured together, but for the date."""
        return self.device, self.capability, self.threads, self.regime, self.case, self.mode

    @property
    def reached(self) -> float | None:
        """What `must` is about."""
        return self.of_bandwidth if self.provider == FASTVAE else self.ratio

    @property
    def holds(self) -> bool | None:
        """Whether the row reached its must; None where it has none."""
        if self.must is None:
            return None
        return self.reached is not None and self.reached >= self.must

    @property
    def bounds(self) -> list[Bound]:
        """What was bounded and counted."""
        known = (
            ("bytes", self.peak_bytes, self.max_peak_bytes),
            ("launches forward", self.launches_forward, self.max_forward),
            ("launches backward", self.launches_backward, self.max_backward),
        )
        return [Bound(of, used, most) for of, used, most in known if used is not None and most is not None]


def times(seconds: Spread, ratio: Spread) -> dict[str, Any]:
    """The columns of a provider's times."""
    return dict(zip(("median_s", "q20_s", "q80_s", "ratio", "ratio_q20", "ratio_q80"), (*seconds, *ratio), strict=True))


def append(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to a file, which begins with the names of the columns.

    Raises:
        ValueError: the file has other columns.
    """
    check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows({name: _shown(value) for name, value in asdict(row).items()} for row in rows)


def read(path: Path) -> list[Row]:
    """Every row of a file.

    Raises:
        ValueError: the file has other columns.
    """
    check(path)
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return [Row(**{name: _value(_TYPES[name], text) for name, text in line.items()}) for line in lines]


def newest(path: Path) -> list[Row]:
    """The last rows of each measurement in a file: a run of a few ops leaves the others as they were.

    Raises:
        ValueError: it has none.
    """
    rows = read(path)
    if not rows:
        raise ValueError(f"{path}: got no rows; takes a run's")
    last: dict[tuple[object, ...], str] = {}
    for row in rows:
        last[row.measurement] = max(row.date, last.get(row.measurement, ""))
    # In the order of the first run, whichever of them were measured again.
    places = {measurement: place for place, measurement in enumerate(last)}
    kept = (row for row in rows if row.date == last[row.measurement])
    return sorted(kept, key=lambda row: places[row.measurement])


def latest_file(results: Path = ROOT / "bench" / "results") -> Path:
    """The ``cpu.csv`` of the machine measured last.

    Raises:
        FileNotFoundError: nothing was measured.
    """
    files = sorted(results.glob("*/cpu.csv"), key=lambda path: max(row.date for row in newest(path)))
    if not files:
        raise FileNotFoundError(f"{results}: got no cpu.csv; python -m bench.run measures one")
    return files[-1]


def check(path: Path) -> None:
    """That rows can be added to a file, or that there is none yet.

    Raises:
        ValueError: it has other columns.
    """
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        header = tuple(next(csv.reader(file), ()))
    if header != _COLUMNS:
        raise ValueError(f"{path}: got columns that differ from this version's; takes a new file")


_COLUMNS: Final = tuple(field.name for field in fields(Row))
_TYPES: Final = get_type_hints(Row)


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
