"""Files that are either the old one or the new one, whenever the process is killed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

_PREFIX: Final = ".partial-"


def write(path: Path, writer: Callable[[Path], object]) -> None:
    """Have `writer` fill a file beside `path`, then put it in the place of `path` in one step.

    Raises:
        OSError: it cannot be written, as on a full disk. `path`, which is named, is then as it was.
    """
    # The suffix stays last: some writers choose the format by it.
    temporary = path.with_name(_PREFIX + path.name)
    try:
        writer(temporary)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        # A write that fails knows no name, and one that cannot begin knows that of the temporary file.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def is_partial(path: Path) -> bool:
    """Whether this is what a killed `write` left."""
    return path.name.startswith(_PREFIX)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """`content` as it is."""
    write(path, lambda temporary: temporary.write_bytes(content))


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """`pieces`, one after the other."""

    def writer(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.writelines(pieces)

    write(path, writer)


def write_text(path: Path, text: str) -> None:
    """`text` in UTF-8."""
    write_bytes(path, text.encode())


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table: its header, then its rows."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    write_text(path, text.getvalue())


def write_json(path: Path, value: object) -> None:
    """`value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")
