"""Imports point one way, the map of docs/architecture.md is drawn from them, and the reference stands alone."""

import ast
import sys
from graphlib import CycleError
from pathlib import Path

import pytest

from tools import imports


def test_the_map_is_up_to_date() -> None:
    """If not: python -m tools.imports."""
    text = imports.PAGE.read_text(encoding="utf-8")
    assert imports.page(text) == text


def test_no_rooms_import_each_other() -> None:
    imports.levels(imports.rooms())


def test_the_reference_imports_torch_and_numpy_only() -> None:
    found = set()
    for path in (imports.ROOT / "fastvae" / "reference").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {module for module, _ in imports.imported(tree) if not module.startswith("fastvae.reference")}
    roots = {module.split(".")[0] for module in found}
    assert roots - sys.stdlib_module_names == {"torch", "numpy"}


def test_the_core_knows_nothing_of_the_application() -> None:
    graph = imports.rooms()
    application = {room for room in graph if room.startswith("fastvae.train")}
    assert application
    for room in graph.keys() - application - {"fastvae.__main__"}:
        assert not graph[room] & application, room


def package(folder: Path, **sources: str) -> Path:
    """A package `fastvae` of these modules, `__` standing for a dot."""
    for name, source in sources.items():
        path = folder / "fastvae" / Path(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    for path in [folder / "fastvae", *(child for child in (folder / "fastvae").rglob("*") if child.is_dir())]:
        (path / "__init__.py").touch()
    return folder / "fastvae"


def test_a_folder_is_a_room_and_beside_rooms_a_file_is_one(tmp_path: Path) -> None:
    root = package(
        tmp_path,
        cli="from fastvae.app.loop import step\nimport fastvae.errors",
        errors="",
        app__loop__step="from fastvae import errors\nfrom fastvae.app.runs.folder import Run",
        app__loop__trainer="from fastvae.app.loop.step import run",
        app__runs__folder="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import fastvae.cli\n"
        "def f():\n    import importlib\n    importlib.import_module('fastvae.errors')",
    )
    graph = imports.rooms(root)
    assert graph == {
        "fastvae": set(),
        "fastvae.app": set(),
        "fastvae.app.loop": {"fastvae.app.runs", "fastvae.errors"},
        "fastvae.app.runs": {"fastvae.errors"},
        "fastvae.cli": {"fastvae.app.loop", "fastvae.errors"},
        "fastvae.errors": set(),
    }
    assert "cli --> errors" not in imports.drawn(root)
    assert imports.levels(graph)[1:] == [["fastvae.app.runs"], ["fastvae.app.loop"], ["fastvae.cli"]]


def test_a_ring_is_named(tmp_path: Path) -> None:
    one, two, three = "from fastvae import two", "import fastvae.room.three", "import fastvae.one"
    root = package(tmp_path, one=one, two=two, room__three=three)
    with pytest.raises(CycleError, match=r"fastvae\.two"):
        imports.levels(imports.rooms(root))
