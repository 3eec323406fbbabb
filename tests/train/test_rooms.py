"""`fastvae/train` is in rooms: few short files in each, and imports that point one way."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import fastvae

PACKAGE = Path(fastvae.__file__).parent
TRAIN = PACKAGE / "train"
ROOMS = sorted(folder for folder in TRAIN.iterdir() if (folder / "__init__.py").exists())


def imported(file: Path) -> Iterator[str]:
    """The modules that a file imports, and the names from them, which may be modules."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str | None:
    """The room of `fastvae.train` that a module or a name of it is in; "top" for the commands, None elsewhere.

    What is wrong with a user's input is said in every room: `errors` is below them all.
    """
    parts = name.split(".")
    if parts[:2] != ["fastvae", "train"] or parts[2] == "errors":
        return None
    return parts[2] if (TRAIN / parts[2]).is_dir() else "top"


def test_rooms_import_one_way():
    arrows: dict[str, set[str]] = {
        room.name: {other for file in room.glob("*.py") for name in imported(file) if (other := room_of(name))}
        - {room.name}
        for room in ROOMS
    }
    assert not any("top" in others for others in arrows.values())
    # A cycle raises.
    order = list(TopologicalSorter(arrows).static_order())
    assert order.index("settings") < order.index("runs") < order.index("loop") < order.index("studies")


def test_rooms_are_small():
    for room in (TRAIN, *ROOMS):
        files = [file for file in room.glob("*.py") if file.name != "__init__.py"]
        assert 0 < len(files) <= 8, room
        assert max(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= 250, room


def test_every_room_says_what_it_is():
    for room in ROOMS:
        (docstring,) = ast.parse((room / "__init__.py").read_text(encoding="utf-8")).body
        assert isinstance(docstring, ast.Expr)


def test_nothing_else_imports_the_application():
    others = (file for file in PACKAGE.rglob("*.py") if not file.is_relative_to(TRAIN))
    found = [file for file in others if any(name.startswith("fastvae.train") for name in imported(file))]
    # `fastvae.fit` and `fastvae.load`, on first use: see tests/core/test_import.py.
    assert sorted(found) == [PACKAGE / "__init__.py", PACKAGE / "__main__.py"]
