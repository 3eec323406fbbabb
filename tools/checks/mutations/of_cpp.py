"""The changes of a C++ header, and the header with all of them in it, of which a process chooses one.

Clang parses the unit that includes the headers: where an expression begins and ends, a pattern of text cannot say. A
changed expression stands beside its original, ``(choice == 7 ? (other) : (original))``, and one compilation serves all.
Constants that the compiler must know stay as they are, and so do the branches for other processors.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from clang import cindex
from clang.cindex import Cursor, CursorKind

from tools.checks.mutations.change import FUNCTIONS, OPERATORS, Change, other_number

FLAGS: Final = ("-std=c++17", "-mfma", "-DFASTVAE_UNIT=default")
_BINARY: Final = (CursorKind.BINARY_OPERATOR, CursorKind.COMPOUND_ASSIGNMENT_OPERATOR)
_FIXED: Final = (  # what must be known when it is compiled
    CursorKind.STATIC_ASSERT, CursorKind.TEMPLATE_REF, CursorKind.TYPE_ALIAS_DECL,
    CursorKind.TEMPLATE_NON_TYPE_PARAMETER, CursorKind.FIELD_DECL, CursorKind.CASE_STMT,
)  # fmt: skip


def parsed(unit: Path, include: Path) -> Cursor:
    """The unit's syntax tree.

    Raises:
        RuntimeError: Clang does not compile it.
    """
    headers = subprocess.run(["c++", "-print-file-name=include"], capture_output=True, text=True, check=True).stdout
    arguments = [*FLAGS, "-xc++", f"-I{include}", f"-isystem{headers.strip()}"]
    tree = cindex.Index.create().parse(str(unit), arguments)
    errors = [str(found) for found in tree.diagnostics if found.severity >= cindex.Diagnostic.Error]
    if errors:
        raise RuntimeError(f"{unit}: Clang says {errors[0]}")
    return tree.cursor


def changes(tree: Cursor, header: Path, exact: bool) -> list[Change]:
    """All changes of a header, in its order: of the branches of the preprocessor that the unit takes.

    Args:
        tree: see `parsed`.
        header: its path, as the unit includes it.
        exact: see `other_number`.
    """
    file = _File(header.read_bytes(), exact)
    top = (child for child in _children(tree) if _in(child, header))
    found = {change for child in top for change in file.of(child)}
    return sorted(found, key=lambda change: (change.begin, -change.stop, change.start, change.text))


def _children(cursor: Cursor) -> Iterator[Cursor]:
    for child in cursor.get_children():
        if child.kind in (CursorKind.NAMESPACE, CursorKind.LINKAGE_SPEC, CursorKind.UNEXPOSED_DECL):
            yield from _children(child)
        else:
            yield child


def _in(cursor: Cursor, header: Path) -> bool:
    file = cursor.location.file
    return file is not None and Path(file.name).resolve() == header.resolve()


class _File:
    def __init__(self, source: bytes, exact: bool) -> None:
        self.source = source
        self.exact = exact

    def text(self, start: int, end: int) -> str:
        return self.source[start:end].decode()

    def of(self, cursor: Cursor) -> Iterator[Change]:
        start, end = span(cursor)
        if cursor.kind in _FIXED or (cursor.kind == CursorKind.VAR_DECL and "constexpr" in self.text(start, end)):
            return
        if cursor.kind == CursorKind.IF_STMT and self.text(start, end).startswith("if constexpr"):
            parts = list(cursor.get_children())[1:]
        else:
            parts = list(cursor.get_children())
        yield from self.here(cursor, start, end, parts)
        for part in parts:
            yield from self.of(part)

    def here(self, cursor: Cursor, start: int, end: int, parts: Sequence[Cursor]) -> Iterator[Change]:
        if cursor.kind in _BINARY and len(parts) == 2:
            (left, right) = (span(part) for part in parts)
            gap = self.text(left[1], right[0])
            if gap.strip() in OPERATORS:
                at = left[1] + gap.index(gap.strip())
                yield Change(at, at + len(gap.strip()), OPERATORS[gap.strip()], start, end)
            if cursor.kind == CursorKind.BINARY_OPERATOR and gap.strip() in ("+", "-", "*", "/"):
                yield Change(start, end, self.text(*left), start, end)
        elif cursor.kind == CursorKind.UNARY_OPERATOR and self.source[start : start + 1] in (b"-", b"!"):
            yield Change(start, start + 1, "", start, end)
        elif cursor.kind in (CursorKind.FLOATING_LITERAL, CursorKind.INTEGER_LITERAL):
            yield Change(start, end, other_number(self.text(start, end), self.exact), start, end)
        elif cursor.kind == CursorKind.CONDITIONAL_OPERATOR and len(parts) == 3:
            _, first, second = (span(part) for part in parts)
            swapped = self.text(*second) + self.text(first[1], second[0]) + self.text(*first)
            yield Change(first[0], second[1], swapped, start, end)
        elif cursor.kind == CursorKind.CALL_EXPR:
            yield from self.call(start, end, parts)

    def call(self, start: int, end: int, parts: Sequence[Cursor]) -> Iterator[Change]:
        name = self.text(start, end).partition("(")[0]
        arguments = [span(part) for part in parts if span(part)[0] > start]
        if FUNCTIONS.get(name) in ("at_least", "at_most"):
            yield Change(start, start + len(name), FUNCTIONS[name], start, end)
        if name in ("fma", "fused") and len(arguments) == 3:
            yield Change(*arguments[2], f"-({self.text(*arguments[2])})", start, end)


def span(cursor: Cursor) -> tuple[int, int]:
    """Where its text begins and ends."""
    return cursor.extent.start.offset, cursor.extent.end.offset


def with_changes(source: bytes, numbered: Mapping[int, Change]) -> bytes:
    """The source in which ``FASTVAE_CHANGE=number`` chooses a change: each beside its expression, inner ones within."""
    inner: dict[tuple[int, int], list[int]] = {}
    for number, change in numbered.items():
        inner.setdefault((change.begin, change.stop), []).append(number)
    spans = sorted(inner, key=lambda at: (at[0], -at[1]))

    def rendered(begin: int, stop: int, within: list[tuple[int, int]]) -> bytes:
        text, at = b"", begin
        while within:
            (first, last) = within.pop(0)
            nested = []
            while within and within[0][1] <= last:
                nested.append(within.pop(0))
            own = rendered(first, last, nested)
            for number in inner[first, last]:
                other = " ".join(re.sub("//.*", "", numbered[number].expression(source)).split())
                own = f"(choice == {number} ? ({other}) : ({own.decode()}))".encode()
            text, at = text + source[at:first] + own, last
        return text + source[at:stop]

    return rendered(0, len(source), spans)
