"""The changes of a Python file, Triton's kernels among them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tools.checks.mutations.change import FUNCTIONS, OPERATORS, Change, other_number

_SKIPPED = (ast.JoinedStr, ast.Assert, ast.Raise)  # what is said of an error


def changes(source: bytes, exact: bool) -> list[Change]:
    """All of them, in the order of the file.

    Args:
        source: the file's bytes.
        exact: see `other_number`.
    """
    return sorted(set(_File(source, exact).of(ast.parse(source))), key=lambda change: (change.start, change.end))


class _File:
    def __init__(self, source: bytes, exact: bool) -> None:
        self.source = source
        self.exact = exact
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.lines[node.lineno - 1] + node.col_offset,
            self.lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def text(self, start: int, end: int) -> str:
        return self.source[start:end].decode()

    def change(self, node: ast.expr, start: int, end: int, text: str) -> Change:
        return Change(start, end, text, *self.span(node))

    def of(self, node: ast.AST) -> Iterator[Change]:
        if isinstance(node, _SKIPPED):
            return
        if isinstance(node, ast.expr):
            yield from self.here(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "defaults", "kw_defaults"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self.of(child)

    def here(self, node: ast.expr) -> Iterator[Change]:
        start, end = self.span(node)
        match node:
            case ast.BinOp(left=left, right=right):
                yield from self.between(node, left, right)
                yield self.change(node, start, end, self.text(*self.enclosed(node, left)))
            case ast.Compare(left=left, comparators=[right]):
                yield from self.between(node, left, right)
            case ast.BoolOp(values=[left, *_, right]):
                yield from self.between(node, left, right)
            case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
                yield self.change(node, start, end, self.text(*self.span(operand)))
            case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
                yield self.change(node, start, end, other_number(self.text(start, end), self.exact))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                parts = (self.text(*self.span(part)) for part in (orelse, test, body))
                yield self.change(node, start, end, "({} if {} else {})".format(*parts))
            case ast.Call(func=function, args=arguments):
                yield from self.call(node, function, arguments)

    def enclosed(self, node: ast.BinOp, left: ast.expr) -> tuple[int, int]:
        """The left operand with the parentheses around it, which belong to no node."""
        start, (_, end) = self.span(node)[0], self.span(left)
        while self.source[start:end].count(b"(") > self.source[start:end].count(b")"):
            end = self.source.index(b")", end) + 1
        return start, end

    def between(self, node: ast.expr, left: ast.expr, right: ast.expr) -> Iterator[Change]:
        """The operator between two operands replaced by the one that is taken for it."""
        begin, stop = self.span(left)[1], self.span(right)[0]
        gap = self.text(begin, stop)
        operator = gap.strip().strip("()").strip()
        if operator in OPERATORS:
            at = begin + gap.index(operator)
            yield self.change(node, at, at + len(operator), OPERATORS[operator])

    def call(self, node: ast.Call, function: ast.expr, arguments: list[ast.expr]) -> Iterator[Change]:
        start, end = self.span(function)
        name = self.text(start, end).rpartition(".")[2]
        if name in FUNCTIONS:
            yield self.change(node, end - len(name), end, FUNCTIONS[name])
        if len(arguments) != 3:
            return
        _, second, third = (self.span(argument) for argument in arguments)
        if name == "where":
            swapped = self.text(*third) + self.text(second[1], third[0]) + self.text(*second)
            yield self.change(node, second[0], third[1], swapped)
        if name in ("fma", "fused"):
            yield self.change(node, *third, f"-({self.text(*third)})")
