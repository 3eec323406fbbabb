"""The notebooks of docs/notebooks, of the Python files beside them, executed.

    python -m tools.notebooks     executes and writes them

A test fails where a notebook has other cells than its file.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, Final

import jupytext
from nbclient import NotebookClient
from PIL import Image

FOLDER: Final = Path(__file__).parent.parent / "docs" / "notebooks"
SOURCES: Final = tuple(sorted(FOLDER.glob("*.py")))
_COLOURS: Final = 32  # of a picture: a fraction of the bytes, and hardly seen
_SECONDS: Final = 300  # a cell


def executed(source: Path, folder: Path) -> Any:
    """The notebook of a Python file, run in a folder.

    What is written to stderr is left out: it is of the machine, as a warning with the path of a package.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell has failed.
    """
    notebook = jupytext.read(source)
    NotebookClient(notebook, timeout=_SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                _shrink(output.get("data", {}))
    return notebook


def _shrink(data: dict[str, str]) -> None:
    if "image/png" in data:
        image = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
        file = io.BytesIO()
        image.quantize(_COLOURS).save(file, format="PNG", optimize=True)
        data["image/png"] = base64.b64encode(file.getvalue()).decode()


def cells(path: Path) -> list[tuple[str, str]]:
    """The kind and the text of each cell of a notebook or of a Python file."""
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


if __name__ == "__main__":
    for path in SOURCES:
        jupytext.write(executed(path, FOLDER), path.with_suffix(".ipynb"))
