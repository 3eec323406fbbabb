"""What the check of coverage says of the lines it found."""

from __future__ import annotations

import pytest

pytest.importorskip("pybind11")

from tools.checks.coverage import Lines, ranges, table, text


def test_lines_that_follow_each_other_are_one_range() -> None:
    assert ranges([]) == ""
    assert ranges([3]) == "3"
    assert ranges([3, 7, 8, 9, 11]) == "3, 7-9, 11"


def test_the_table_is_by_folder_and_in_all() -> None:
    files = {
        "a/x.py": Lines(10, [1, 2]),
        "a/y.py": Lines(10, []),
        "a/b/z.py": Lines(1000, [5]),
        "c/__init__.py": Lines(0, []),
    }
    assert table(files).splitlines()[2:] == [
        "| `a` | 20 | 2 | 90.0 % |",
        "| `a/b` | 1,000 | 1 | 99.9 % |",
        "| `c` | 0 | 0 | - |",
        "| all | 1,020 | 3 | 99.7 % |",
    ]


def test_every_line_left_is_named() -> None:
    said = text({"a/x.py": Lines(10, [1, 2]), "a/y.py": Lines(10, [])}, {"b/x.h": Lines(5, [4])})
    assert "- `a/x.py`: 1-2" in said
    assert "- `b/x.h`: 4" in said
    assert "y.py" not in said
