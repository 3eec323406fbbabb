"""Numbers as a page shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from fastvae.train.runs.metrics import Epoch, best, columns

_ROWS: Final = 30
_DIGITS: Final = 4


class Row(NamedTuple):
    """An epoch: its cells, and whether the run keeps its weights."""

    cells: list[str]
    kept: bool


class Table(NamedTuple):
    """What was measured, in words and aligned decimals.

    Attributes:
        header: the columns of metrics.csv.
        rows: some or all of the epochs.
        step: each how many epochs a row is, but for the first, the last and the one whose weights are kept.
    """

    header: list[str]
    rows: list[Row]
    step: int


def of_epochs(history: Sequence[Epoch]) -> Table:
    """At most about `_ROWS` of the epochs."""
    names, kept, step = columns(history), best(history).epoch, math.ceil(len(history) / _ROWS)
    shown = [row for row in history if row.epoch % step == 0 or row.epoch in (1, kept, len(history))]
    texts = [decimals([getattr(row, name) for row in shown]) for name in names]
    rows = [Row(list(cells), row.epoch == kept) for row, cells in zip(shown, zip(*texts, strict=True), strict=True)]
    return Table([name.replace("_", " ") for name in names], rows, step)


def decimals(values: Sequence[float | None]) -> list[str]:
    """A column: whole numbers as they are, others with as many decimals as give the largest four digits, at least 2."""
    finite = [abs(value) for value in values if value is not None and math.isfinite(value)]
    if all(isinstance(value, int) for value in values):
        return [str(value) for value in values]
    largest = max(finite, default=0.0)
    places = max(2, _DIGITS - 1 - math.floor(math.log10(largest))) if largest else 2
    return ["" if value is None else f"{value:.{places}f}" for value in values]


def duration(seconds: float) -> str:
    """In the two largest units that it has."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
