"""Numbers, files of numbers and pictures as the page shows them."""

from __future__ import annotations

import csv
from pathlib import Path

from bench import pages
from bench.report import seconds
from bench.reproductions.judging import NOT_RUN
from bench.reproductions.runs import Picture


def number(value: float | None) -> str:
    """To two decimals."""
    return NOT_RUN if value is None else f"{value:.2f}"


def time(value: float) -> str:
    """In minutes where there are any."""
    return seconds(value) if value < 60 else f"{value / 60:.1f} min"


def csv_table(path: Path) -> str:
    """The table in a file, its fractions to two decimals."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return pages.table(
        [name.replace("_", " ") for name in header], [[_shortened(cell) for cell in row] for row in rows]
    )


def _shortened(cell: str) -> str:
    try:
        return cell if cell.lstrip("-").isdecimal() else f"{float(cell):.2f}"
    except ValueError:
        return cell


def image(picture: Picture, pictures: Path, page: Path) -> str:
    """A picture with its caption, from a page in the folder `page`."""
    return f"![{picture.caption}]({(pictures / picture.name).relative_to(page).as_posix()})"


def quantity(value: float | None) -> str:
    """A whole number as it is, another to four decimals."""
    return NOT_RUN if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
