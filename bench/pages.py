"""Pages that are generated in part: what stands between two markers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def insert(text: str, part: str, between: str) -> str:
    """`text` with what stands between the two markers of `part` replaced.

    Raises:
        ValueError: it has not exactly one of each, in their order.
    """
    begin, end = f"<!-- {part}:begin -->", f"<!-- {part}:end -->"
    if (text.count(begin), text.count(end)) != (1, 1) or text.index(begin) > text.index(end):
        raise ValueError(f"got no single pair of {begin} and {end}; takes one of each")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{between}\n{end}{after}"


def write(page: Path, parts: Mapping[str, str]) -> None:
    """Replace the named parts of a page.

    Raises:
        ValueError: it lacks the markers of one.
    """
    text = page.read_text(encoding="utf-8")
    for part, between in parts.items():
        try:
            text = insert(text, part, between)
        except ValueError as error:
            raise ValueError(f"{page}: {error}") from error
    page.write_text(text, encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table whose first `text_columns` are set to the left, and numbers to the right."""
    right = len(header) - text_columns
    head, *body = (f"| {' | '.join(line)} |" for line in (header, *rows))
    return "\n".join([head, "|---" * text_columns + "|---:" * right + "|", *body])
