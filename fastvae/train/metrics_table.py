"""The epochs of a run as a table, ``metrics.csv``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fastvae.train import atomic
from fastvae.train.errors import UserError
from fastvae.train.metrics import Epoch

# The last column, which only runs that hold images out have.
_OPTIONAL: Final = "validation_loss"


def write(file: Path, history: Sequence[Epoch]) -> None:
    """Write `file`: the whole of it, so that no row is there twice after a resume."""
    columns = Epoch._fields if history[0].validation_loss is not None else Epoch._fields[:-1]
    atomic.write_csv(file, columns, (row[: len(columns)] for row in history))


def read(file: Path) -> list[Epoch]:
    """The rows of `file`.

    Raises:
        UserError: it is damaged, and where.
        OSError: it cannot be read.
    """
    try:
        with file.open(encoding="utf-8", newline="") as text:
            header, *rows = list(csv.reader(text)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: damaged, no table of metrics ({error})") from error
    try:
        _check_columns(header)
        if not rows:
            raise ValueError("got no epochs; takes a row for each")
        return [_epoch(number, header, row) for number, row in enumerate(rows, 2)]
    except ValueError as error:
        raise UserError(f"{file}: {error}") from error


def _check_columns(header: Sequence[str]) -> None:
    for name in Epoch._fields:
        if name not in header and name != _OPTIONAL:
            raise ValueError(f"line 1: got no column {name}; takes {', '.join(Epoch._fields)}")
    for name in header:
        if name not in Epoch._fields:
            raise ValueError(f"line 1: got a column {name!r}; takes {', '.join(Epoch._fields)}")


def _epoch(line: int, header: Sequence[str], row: Sequence[str]) -> Epoch:
    if len(row) != len(header):
        raise ValueError(f"line {line}: got {len(row)} values; takes {len(header)}")
    found = dict(zip(header, row, strict=True))
    values: dict[str, Any] = {name: _number(line, name, text) for name, text in found.items()}
    return Epoch(**values)


def _number(line: int, column: str, text: str) -> float:
    """A cell: a whole number in the column of epochs."""
    try:
        return int(text) if column == "epoch" else float(text)
    except ValueError:
        words = "a whole number" if column == "epoch" else "a number"
        raise ValueError(f"line {line}: {column}: got {text!r}; takes {words}") from None
