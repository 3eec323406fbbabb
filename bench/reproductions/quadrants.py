"""Completion of images from 1, 2 or 3 quadrants (Sohn, Lee & Yan 2015): the table, beside the published one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench import pages
from bench.reproductions import markdown
from bench.reproductions.judging import verdict


class Row(NamedTuple):
    """A line of table.csv.

    Attributes:
        quadrants: how many were given.
        model: ``"baseline"``, ``"gsnn"``, ``"cvae"`` or another.
        method: how its likelihood was taken: ``"monte_carlo"``, ``"importance"`` or another.
        nll: negative conditional log-likelihood, nats per image.
        error: its standard error over images.
        training_seconds: of the model, once for all its methods.
        seconds: of the estimate.
    """

    quadrants: int
    model: str
    method: str
    nll: float
    error: float
    training_seconds: float
    seconds: float


COUNTS: Final = (1, 2, 3)
# By model, and by method where the model has several; for 1, 2 and 3 quadrants.
_PUBLISHED: Final = {
    ("baseline", None): (99.8, 62.2, 26.0),
    ("gsnn", None): (99.8, 62.4, 26.3),
    ("cvae", "monte_carlo"): (68.4, 45.3, 21.0),
    ("cvae", "importance"): (63.9, 44.7, 21.0),
}
_GAIN: Final = 28.0
_MINUTES: Final = 40


def read(path: Path) -> list[Row]:
    """The rows of a table.csv."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(
                int(line["quadrants"]),
                line["model"],
                line["method"],
                float(line["negative_log_likelihood"]),
                float(line["standard_error"]),
                float(line["training_seconds"]),
                float(line["seconds"]),
            )
            for line in csv.DictReader(file)
        ]


def table(rows: list[Row]) -> str:
    """A line for each model and method, with what was published in parentheses."""
    header = ["model", "method", *(f"{count} quadrant{'s' * (count > 1)}" for count in COUNTS), "training", "estimate"]
    lines = []
    for model, method in dict.fromkeys((row.model, row.method) for row in rows):
        mine = {row.quadrants: row for row in rows if (row.model, row.method) == (model, method)}
        cells = [_cell(mine.get(count), _published(model, method, count)) for count in COUNTS]
        times = (sum(row.training_seconds for row in mine.values()), sum(row.seconds for row in mine.values()))
        lines.append([model, method, *cells, *map(markdown.time, times)])
    return pages.table(header, lines, text_columns=2)


def _published(model: str, method: str, count: int) -> float | None:
    figures = _PUBLISHED.get((model, method), _PUBLISHED.get((model, None)))
    return None if figures is None else figures[COUNTS.index(count)]


def _cell(row: Row | None, published: float | None) -> str:
    known = "" if published is None else f" ({published:.1f})"
    return markdown.number(None) if row is None else f"{row.nll:.2f} ± {row.error:.2f}{known}"


def verdicts(rows: list[Row]) -> Iterator[str]:
    """The published ordering for each number of quadrants, and how far the CVAE is ahead with one."""
    for count in COUNTS:
        holds = _ordered(rows, count)
        yield f"{count} given, baseline and GSNN > CVAE (Monte Carlo) >= CVAE (importance): {verdict(holds)}"
    baseline, cvae = _value(rows, 1, "baseline"), _value(rows, 1, "cvae", "importance")
    gain = None if baseline is None or cvae is None else baseline - cvae
    shown = "" if gain is None else f" {gain:.2f},"
    yield (
        f"1 given, CVAE (importance) at least {_GAIN:g} nats below the baseline:{shown} "
        f"{verdict(None if gain is None else gain >= _GAIN)}"
    )
    models = {(row.quadrants, row.model): row.training_seconds for row in rows}
    total = sum(models.values()) + sum(row.seconds for row in rows)
    yield f"training and estimates within {_MINUTES} minutes: {markdown.time(total)}, {verdict(total <= 60 * _MINUTES)}"


def _ordered(rows: list[Row], count: int) -> bool | None:
    baseline, gsnn = _value(rows, count, "baseline"), _value(rows, count, "gsnn")
    drawn, weighted = _value(rows, count, "cvae", "monte_carlo"), _value(rows, count, "cvae", "importance")
    if baseline is None or gsnn is None or drawn is None or weighted is None:
        return None
    return min(baseline, gsnn) > drawn >= weighted


def _value(rows: list[Row], count: int, model: str, method: str | None = None) -> float | None:
    found = (row.nll for row in rows if (row.quadrants, row.model) == (count, model) and method in (None, row.method))
    return next(found, None)
