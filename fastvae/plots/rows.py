"""The epochs of a run, from wherever a user has them: rows of numbers by the names of the columns of metrics.csv."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, float]


def rows_of(run: Any) -> list[dict[str, float]]:
    """What was measured in each epoch; a column that has no value in any of them is left out.

    Args:
        run: a folder of ``fastvae train`` or `fastvae.fit`, its metrics.csv, what `fastvae.fit` returns, or rows:
            mappings or named tuples. Without a column ``epoch`` they are counted from 1.

    Raises:
        TypeError: something else.
        ValueError: no rows, rows without ``train_loss``, or a file that is no table of numbers.
        OSError: the file cannot be read.
    """
    if isinstance(run, (str, Path)):
        found = _read(Path(run).expanduser())
    else:
        given = getattr(run, "history", run)
        if not isinstance(given, Iterable):
            raise TypeError(f"run: got {type(run).__name__}; takes a folder, a Fit, or a row for each epoch")
        found = [_row(each) for each in given]
    if not found:
        raise ValueError("run: got no epochs; takes a row for each")
    names = [name for name in found[0] if any(_measured(row.get(name)) for row in found)]
    if "train_loss" not in names:
        raise ValueError(f"run: got columns {', '.join(names) or 'none'}; takes train_loss and more")
    return [
        {"epoch": number} | {name: float(math.nan if row.get(name) is None else row[name]) for name in names}
        for number, row in enumerate(found, 1)
    ]


def kept(rows: Sequence[Row]) -> int:
    """The epoch of the least validation loss, the first of several; the last one where there is none."""
    if "validation_loss" not in rows[0]:
        return int(rows[-1]["epoch"])

    def comparable(row: Row) -> float:
        loss = row["validation_loss"]
        return math.inf if math.isnan(loss) else loss

    return int(min(rows, key=comparable)["epoch"])


def _row(given: Any) -> dict[str, Any]:
    if hasattr(given, "_asdict"):
        return dict(given._asdict())
    if isinstance(given, Mapping):
        return dict(given)
    raise TypeError(f"run: got a row of {type(given).__name__}; takes a mapping or a named tuple")


def _measured(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _read(path: Path) -> list[dict[str, Any]]:
    file = path / "metrics.csv" if path.is_dir() else path
    with file.open(encoding="utf-8", newline="") as text:
        try:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(text)]
        except (TypeError, ValueError, csv.Error) as error:
            raise ValueError(f"run: got {file}, no table of numbers ({error}); takes a metrics.csv") from error
