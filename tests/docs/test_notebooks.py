"""The notebooks: what is kept is of the Python files beside them, and these run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools import notebooks

NAMED = pytest.mark.parametrize("source", notebooks.SOURCES, ids=lambda path: path.stem)


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))


def test_there_are_two() -> None:
    assert [path.stem for path in notebooks.SOURCES] == ["cvae", "vae"]


@NAMED
def test_what_is_kept_is_the_file_executed(source: Path) -> None:
    kept = source.with_suffix(".ipynb")
    assert notebooks.cells(kept) == notebooks.cells(source)
    assert kept.stat().st_size < 250_000
    code = [cell for cell in notebooks.jupytext.read(kept).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for word in ("Traceback", str(Path.home()), "site-packages"):
        assert word not in kept.read_text(encoding="utf-8")


@pytest.mark.slow
@NAMED
def test_it_runs(source: Path, tmp_path: Path) -> None:
    kept = notebooks.jupytext.read(source.with_suffix(".ipynb"))
    assert pictures(notebooks.executed(source, tmp_path)) == pictures(kept) >= 2
