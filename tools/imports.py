"""The map of docs/architecture.md, drawn from the imports of fastvae.

    python -m tools.imports     writes it

A test fails where it is out of date, or where rooms import each other in a ring. A room is a folder of modules; in a
folder that has rooms, each module is a room of its own. Imports inside functions count, and so do those by
`importlib.import_module` of a literal name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

from bench import pages

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "architecture.md"
_PART: Final = "imports"

Graph = dict[str, set[str]]


def modules(package: Path) -> dict[str, Path]:
    """The files of a package by their dotted names, stubs of a compiled module among them."""
    paths = sorted([*package.rglob("*.py"), *package.rglob("*.pyi")])
    files = {".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in paths}
    return {name.removesuffix(".__init__"): path for name, path in files.items()}


def room_of(name: str, files: dict[str, Path]) -> str:
    """The room of a module."""
    path = files[name]
    if path.name == "__init__.py" and any(path.parent.glob("*/__init__.py")):
        return name
    parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
    has_rooms = any(files[parent].parent.glob("*/__init__.py"))
    return name if has_rooms else parent


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Module names, and the name taken from each; not those that only types need."""
    for node in _at_run_time(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            yield from ((arg.value, "") for arg in node.args if isinstance(arg, ast.Constant))


def _at_run_time(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes outside of blocks for type checkers."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
        if node not in skipped:
            yield node


def rooms(package: Path = ROOT / "fastvae") -> Graph:
    """What each room imports of the others."""
    files = modules(package)
    graph: Graph = {}
    for name, path in files.items():
        room = room_of(name, files)
        reached = graph.setdefault(room, set())
        for module, attribute in imported(ast.parse(path.read_text(encoding="utf-8"))):
            target = f"{module}.{attribute}" if f"{module}.{attribute}" in files else module
            if target in files:
                reached.add(room_of(target, files))
        reached.discard(room)
    return graph


def levels(graph: Graph) -> list[list[str]]:
    """The rooms, lowest first, each above all that it imports.

    Raises:
        graphlib.CycleError: rooms that import each other; it names them.
    """
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    result = []
    while sorter.is_active():
        ready = sorter.get_ready()
        result.append(sorted(ready))
        sorter.done(*ready)
    return result


def _reached(graph: Graph, room: str) -> set[str]:
    return graph[room].union(*(_reached(graph, below) for below in graph[room]))


def _short(room: str) -> str:
    return room.removeprefix("fastvae.")


def _purpose(room: str, files: dict[str, Path]) -> str:
    """The first sentence of a room's docstring."""
    lines = (ast.get_docstring(ast.parse(files[room].read_text(encoding="utf-8"))) or "").splitlines()
    return (lines or [""])[0].removesuffix(".")


def drawn(package: Path = ROOT / "fastvae") -> str:
    """The map: a graph without the arrows that others imply, and a table of the rooms, highest first."""
    graph, files = rooms(package), modules(package)
    ordered = levels(graph)
    arrows = []
    for room in sorted(graph):
        implied = set().union(*(_reached(graph, below) for below in graph[room]))
        arrows += [f"    {_short(room)} --> {_short(below)}" for below in sorted(graph[room] - implied)]
    rows = [
        f"| {level} | `{_short(room)}` | {_purpose(room, files)} | {', '.join(map(_short, sorted(graph[room])))} |"
        for level, names in reversed(list(enumerate(ordered)))
        for room in names
    ]
    head = ["| level | room | what it is | imports |", "|---|---|---|---|"]
    return "\n".join(["```mermaid", "graph TD", *arrows, "```", "", *head, *rows, ""])


def page(text: str) -> str:
    """The text of the page with the map in its place."""
    return pages.insert(text, _PART, f"\n{drawn()}")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
