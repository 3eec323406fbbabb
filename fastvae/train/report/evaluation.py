"""What `fastvae evaluate` found, for the page of its run."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from fastvae.train.errors import UserError
from fastvae.train.report.tables import decimals
from fastvae.train.runs.folder import RunFolder


class Column(NamedTuple):
    """One value for each dimension of the latent, or channel of a spatial one.

    Attributes:
        name: of the values.
        cells: their texts, and what part each is of the largest, 0 to 100.
    """

    name: str
    cells: list[tuple[str, float]]


class Evaluation(NamedTuple):
    """Single values by name, and columns of the same length."""

    values: list[tuple[str, str]]
    columns: list[Column]


def read(folder: RunFolder) -> Evaluation | None:
    """None for a run that has not been evaluated.

    Raises:
        UserError: the file is damaged.
    """
    file = folder.evaluation_file
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_bytes())
    except (RecursionError, ValueError) as error:
        raise UserError(
            f"{file}: damaged, no JSON ({error}); fastvae evaluate {folder.path} writes it again"
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{file}: got {type(found).__name__}; takes what fastvae evaluate writes, an object of values")
    lists = {name: value for name, value in found.items() if _is_column(name, value)}
    length = len(next(iter(lists.values()), ()))
    columns = {name: value for name, value in lists.items() if len(value) == length}
    return Evaluation(
        [(name.replace("_", " "), _text(value)) for name, value in found.items() if name not in columns],
        [Column(name.replace("_", " "), _cells(value)) for name, value in columns.items()],
    )


def _is_column(name: str, value: Any) -> bool:
    numbers = isinstance(value, list) and bool(value) and all(isinstance(each, (int, float)) for each in value)
    return numbers and name.endswith("_per_dimension")


def _cells(values: list[float]) -> list[tuple[str, float]]:
    largest = max(values)
    return [
        (text, 100 * max(value, 0.0) / largest if largest > 0 else 0.0)
        for text, value in zip(decimals(values), values, strict=True)
    ]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
