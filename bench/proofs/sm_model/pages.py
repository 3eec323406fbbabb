"""Tables of what the model predicts, and of how far it is off where a GPU has measured the same commit."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import pages
from bench import results as measurements
from bench.proofs.sm_model import requirements, results
from bench.proofs.sm_model.kernels import KINDS
from bench.proofs.sm_model.machine import MACHINES
from bench.proofs.sm_model.report import PROVIDERS, share
from bench.proofs.sm_model.results import Row
from bench.report import seconds

_DIRECTIONS: Final = ("forward", "backward")
_SCHEDULED: Final = 128
"""Threads that the schedulers of a multiprocessor issue for in a cycle."""
# In graphs, where launches cost least.
_MEASURED: Final = {"fastvae_graph": "fastvae", "compile_graph": "inductor"}


class Times(NamedTuple):
    """Cycles an element by provider, kernel and GPU."""

    cycles: Mapping[tuple[str, str, str], float]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Times:
        """Those of these rows."""
        return cls({(row.provider, row.kernel, row.gpu): row.cycles for row in rows})

    def both(self, provider: str, op: str, gpu: str) -> float:
        """Of forward and backward. A backward that launches nothing for its elements takes no time."""
        return sum(self.cycles.get((provider, f"{op} {direction}", gpu), 0.0) for direction in _DIRECTIONS)


def write(offline: Path, measured: Path, page: Path) -> None:
    """Write the tables into a page.

    Args:
        offline: the folder of the predictions.
        measured: that of the GPUs' folders.

    Raises:
        ValueError: the page lacks the markers.
    """
    rows = results.load(offline / results.FILE)
    newest = results.newest(rows)
    checks = [
        table
        for name in MACHINES
        if (measured / name.lower() / "gpu.csv").exists()
        for table in _checks(rows, measured / name.lower(), name)
    ]
    parts = {"model": f"{_kernels(newest)}\n\n{_ratios(newest)}", "model-check": "\n\n".join(checks)}
    pages.write(page, parts)


def _kernels(rows: Sequence[Row]) -> str:
    """Instructions and shares of fastvae's kernels."""
    ours = {row.kernel: row for row in rows if row.provider == "fastvae" and row.gpu == "H100"}
    times = Times.of(rows)
    lines = []
    for kernel, row in ours.items():
        limit = requirements.limit(kernel)
        must = "" if limit is None else f"{limit.must}"
        number = f"{row.instructions:.0f}"
        missed = limit is not None and row.instructions > limit.must
        kinds = [f"{getattr(row, kind):.1f}" for kind in KINDS]
        shares = [f"{share(row.bytes, times.cycles['fastvae', kernel, gpu], gpu):.0%}" for gpu in MACHINES]
        lines.append([kernel, f"**{number}**" if missed else number, must, *kinds, f"{row.bytes:.0f}", *shares])
    commits = ", ".join(dict.fromkeys(row.commit for row in ours.values()))
    note = f"Instructions an element on sm_90 at commit {commits}, **too many** in bold; shares of a copy's bandwidth."
    return f"{pages.table(('kernel', 'all', 'must', *KINDS, 'bytes', *MACHINES), lines)}\n\n{note}"


def _ratios(rows: Sequence[Row]) -> str:
    """Inductor's predicted time over fastvae's."""
    times = Times.of(rows)
    lines = []
    for op in dict.fromkeys(row.kernel.rpartition(" ")[0] for row in rows if row.provider == "inductor"):
        ratios = [times.both("inductor", op, gpu) / times.both("fastvae", op, gpu) for gpu in MACHINES]
        lines.append([op, *(f"**{ratio:.2f}**" if ratio < 1 else f"{ratio:.2f}" for ratio in ratios)])
    torch = ", ".join(dict.fromkeys(row.torch for row in rows if row.provider == "inductor"))
    note = f"Predicted time of what inductor of torch {torch} generates over fastvae's, forward and backward together."
    return f"{pages.table(('op', *MACHINES), lines)}\n\n{note}"


def _checks(rows: Sequence[Row], measured: Path, gpu: str) -> Iterator[str]:
    """The profile beside what is predicted of its commit, then the benchmarks."""
    if (measured / "profile.csv").exists():
        lines = list(_profiled(rows, measured / "profile.csv", gpu))
        yield pages.table(
            ("kernel", "instructions", "predicted", "issue active", "predicted", "time", "predicted", "off"), lines
        )
    lines = list(_benchmarks(rows, measured / "gpu.csv", gpu))
    yield pages.table(("op", *(f"{column}" for name in PROVIDERS for column in (name, "predicted", "off"))), lines)


def _profiled(rows: Sequence[Row], path: Path, gpu: str) -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            op, _, target = line["op"].partition(", ")
            name, direction = op.split()
            kernel = " ".join((name, line["dtype"], *([target] if target else []), direction))
            of_commit = results.newest(rows, line["commit"])
            row = next((row for row in of_commit if (row.kernel, row.gpu) == (kernel, gpu)), None)
            if row is not None:
                took, predicted = float(line["duration_ns"]) / 1e9, _time(row.cycles, int(line["elements"]), gpu)
                yield [
                    kernel,
                    f"{float(line['instructions_per_element']):.1f}",
                    f"{row.instructions:.1f}",
                    f"{float(line['issue_active_percent']):.0f}%",
                    f"{row.instructions / _SCHEDULED / row.cycles:.0%}",
                    *_compared(took, predicted),
                ]


def _benchmarks(rows: Sequence[Row], path: Path, gpu: str) -> Iterator[list[str]]:
    """Forward and backward together at sizes where memory or instructions decide."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in measurements.newest(path):
        provider = _MEASURED.get(row.provider)
        if provider is None or row.mode != "both" or row.elements < 2**26:
            continue
        # Inductor's code is torch's, whatever fastvae's commit.
        times = Times.of(results.newest(rows, row.commit if provider == "fastvae" else ""))
        op = " ".join((row.op, row.dtype, *(["uint8 target"] if row.target == "uint8" else [])))
        cycles = times.both(provider, op, gpu)
        if cycles:
            found.setdefault(op, {})[provider] = _compared(row.median_s, _time(cycles, row.elements, gpu))
    for op, compared in found.items():
        yield [op, *(cell for provider in PROVIDERS for cell in compared.get(provider, ["", "", ""]))]


def _time(cycles: float, elements: int, gpu: str) -> float:
    machine = MACHINES[gpu]
    return cycles * elements / machine.multiprocessors / machine.hertz


def _compared(took: float, predicted: float) -> list[str]:
    return [seconds(took), seconds(predicted), f"{predicted / took - 1:+.0%}"]
