"""docs/accuracy.md: its tables, from the results that are kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import ROOT, pages
from bench.accuracy import scales
from bench.accuracy.errors import WRONG
from bench.accuracy.measuring import CAPABILITIES, COMPILE, EAGER, IMPLEMENTATIONS, INTERPRETER, name_of, regimes_of
from bench.accuracy.ops import DTYPES, OPS, Op
from bench.accuracy.rows import Row
from fastvae._options import PARAMETERIZATIONS

PAGE: Final = ROOT / "docs" / "accuracy.md"
_SUMMARY: Final = {
    EAGER: (EAGER,),
    COMPILE: (COMPILE,),
    "fastvae, C++": CAPABILITIES,
    "fastvae, Triton": (INTERPRETER,),
}
_SCALES: Final = ("reference", *CAPABILITIES, INTERPRETER)


def write(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Put the tables of the newest rows into a page."""
    errors = [row for row in rows if row.unit != scales.UNIT]
    parts = {
        "summary": f"{summary(errors)}\n\n{caption(errors)}",
        "details": "\n\n".join(filter(None, (details(op, errors) for op in OPS))),
        "accuracy": f"{at_every_scale(rows)}\n\n{caption([row for row in rows if row.unit == scales.UNIT])}",
    }
    pages.write(page, parts)


def number(value: float) -> str:
    """An error; one that leaves not two digits stands out."""
    said = "0" if value == 0 else f"{value:.0e}" if value < 1e-2 or value >= 100 else f"{value:.2g}"
    said = said.replace("e-0", "e-").replace("e+0", "e")
    return said if value <= WRONG else f"**{said}**"


def worst(rows: Iterable[Row]) -> str:
    """The largest error of some rows; empty where nothing was measured."""
    rows = list(rows)
    if not rows:
        return ""
    if any(row.not_finite for row in rows):
        return "**inf or NaN**"
    return number(max(row.worst for row in rows))


def _with_median(rows: Iterable[Row]) -> str:
    rows = list(rows)
    said = worst(rows)
    return said if not said or rows[0].median is None or rows[0].elements == 1 else f"{said} ({number(rows[0].median)})"


def summary(rows: Sequence[Row]) -> str:
    """A row an op and dtype: the worst of all regimes, of value and gradients."""
    body = []
    for op in OPS:
        for dtype in map(name_of, DTYPES):
            of = [row for row in rows if (row.op, row.dtype) == (op.name, dtype) and row.elements]
            if of:
                cells = (worst(row for row in of if row.implementation in each) for each in _SUMMARY.values())
                body.append([f"`{op.name.partition(',')[0]}`{''.join(op.name.partition(',')[1:])}", dtype, *cells])
    return pages.table(["op", "dtype", *_SUMMARY], body, text_columns=2)


def details(op: Op, rows: Sequence[Row]) -> str:
    """Each regime and result of an op in float32: the largest error, and the median."""
    of = [row for row in rows if (row.op, row.dtype) == (op.name, "float32") and row.elements]
    shown = [name for name in IMPLEMENTATIONS if any(row.implementation == name for row in of)]
    by_place: Mapping[tuple[str, str, str], Row] = {(row.regime, row.result, row.implementation): row for row in of}
    results = list(dict.fromkeys(row.result for row in of))
    body = []
    for regime in regimes_of(op):
        for result in results:
            found = [by_place.get((regime, result, name)) for name in shown]
            if any(found):
                body.append([regime, result, *(_with_median([row] if row else []) for row in found)])
    title = f"### {op.name}\n\nEager: {op.source}."
    return f"{title}\n\n{pages.table(['inputs', 'result', *shown], body, text_columns=2)}" if body else ""


def at_every_scale(rows: Sequence[Row]) -> str:
    """A row for each form and quantity, its gradients in a row of their own."""
    of = {(row.op, row.regime, row.result, row.implementation): row for row in rows if row.unit == scales.UNIT}
    body = []
    for form in PARAMETERIZATIONS:
        for quantity, op in scales.QUANTITIES.items():
            for result in ("value", "gradients"):
                found = [of.get((op, scales.regime(form), result, name)) for name in _SCALES]
                label = quantity if result == "value" else f"{quantity}, gradients"
                body.append([form, label, *("" if row is None else _units(row.worst) for row in found)])
    return pages.table(["form", "", *_SCALES], body, text_columns=2)


def _units(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "**inf or NaN**"


def caption(rows: Sequence[Row]) -> str:
    """Where the rows of each implementation are from: machine, date, versions, commits."""
    runs: dict[str, tuple[set[str], set[str]]] = {}
    for row in rows:
        versions = f"torch {row.torch}{f', triton {row.triton}' if row.triton else ''}"
        names, commits = runs.setdefault(f"{row.device}, {row.date[:10]}, {versions}", (set(), set()))
        names.add(row.implementation)
        commits.add(row.commit)
    order = ("reference", *IMPLEMENTATIONS)
    return " ".join(
        f"{', '.join(sorted(names, key=order.index))}: {run}, commit {', '.join(sorted(commits))}."
        for run, (names, commits) in runs.items()
    )
