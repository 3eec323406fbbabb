"""PTX text as data: the parameters, registers and instructions of its one kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

BITS = {"pred": 1} | {f"{kind}{bits}": bits for kind in "bsuf" for bits in (8, 16, 32, 64, 128)}
_PIECE = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/
    |\.loc\s+(?P<location>[^\n]*)
    |\.file\s[^\n]*
    |(?P<label>[$\w]+):
    |(?P<brace>[{}])
    |(?P<statement>(?:[^;{}"]|\{[^{};]*\}|"[^"]*")+;)""",
    re.VERBOSE | re.DOTALL,
)


class Instruction(NamedTuple):
    """One instruction.

    Attributes:
        opcode: with its modifiers, such as ``("add", "rn", "f32")``.
        operands: as they are written.
        guard: the predicate register it depends on, or None.
        negated: does it run where the guard is false?
        text: as written.
        source: the file and line that it was compiled from, where the text says so.
    """

    opcode: tuple[str, ...]
    operands: tuple[str, ...]
    guard: str | None
    negated: bool
    text: str
    source: str


class Program(NamedTuple):
    """A kernel.

    Attributes:
        parameters: the bits of each, by name and in order.
        registers: the bits of each, by name; those of a block have a number appended.
        shared: bytes of the arrays in shared memory whose size is written, by name; 0 for what a launch sizes.
        threads: of a block.
        instructions: in order.
        labels: the number of the instruction behind each.
    """

    name: str
    parameters: dict[str, int]
    registers: dict[str, int]
    shared: dict[str, int]
    threads: int
    instructions: list[Instruction]
    labels: dict[str, int]


def parse(text: str) -> Program:
    """Read a module of one kernel.

    Raises:
        ValueError: it has none, or what is no PTX.
    """
    entry = re.search(r"\.entry\s+([$\w]+)\s*\((.*?)\)\s*((?:\.\w+\s+[\d, ]+\s*)*)\{", text, re.DOTALL)
    if entry is None:
        raise ValueError(f"text: got no .entry in {text[:60]!r}; takes PTX of one kernel")
    name, parameters, directives = entry.groups()
    threads = re.search(r"\.(?:reqntid|maxntid)\s+(\d+)", directives)
    body = _Body(dict(re.findall(r'\.file\s+(\d+)\s+"([^"]*)"', text)))
    body.read(text, entry.end())
    shared = re.findall(r"\.shared\s+(?:\.align\s+\d+\s+)?\.(\w+)\s+([$\w]+)\[(\d*)\]", text)
    return Program(
        name,
        {
            parameter: BITS[kind]
            for kind, parameter in re.findall(r"\.param\s+\.(\w+)[^,]*?\s([$\w]+)\s*(?:,|$)", parameters)
        },
        body.registers,
        {symbol: int(count or 0) * BITS[kind] // 8 for kind, symbol, count in shared},
        int(threads[1]) if threads else 32,
        body.instructions,
        body.labels,
    )


class _Body:
    """What stands between the braces of a kernel. Registers of an inner block are renamed, so that all are global."""

    def __init__(self, files: dict[str, str]) -> None:
        self.registers: dict[str, int] = {}
        self.instructions: list[Instruction] = []
        self.labels: dict[str, int] = {}
        self._files = files
        self._source = ""
        self._scopes: list[dict[str, str]] = [{}]
        self._blocks = 0

    def read(self, text: str, position: int) -> None:
        """Read statements up to the brace that ends the kernel."""
        while self._scopes:
            piece = _PIECE.match(text, position)
            if piece is None:
                raise ValueError(f"text: got {text[position : position + 60]!r}; takes PTX")
            position = piece.end()
            if piece["brace"] == "{":
                self._blocks += 1
                self._scopes.append({})
            elif piece["brace"] == "}":
                self._scopes.pop()
            elif piece["label"]:
                self.labels[piece["label"]] = len(self.instructions)
            elif piece["location"]:
                file, line = piece["location"].split()[:2]
                self._source = f"{self._files.get(file, file).rpartition('/')[2]}:{line}"
            elif piece["statement"]:
                self._statement(piece["statement"].removesuffix(";").strip())

    def _statement(self, statement: str) -> None:
        if statement.startswith(".reg"):
            self._declare(*statement.removeprefix(".reg").split(None, 1))
        elif statement.startswith(".pragma"):
            return
        else:
            self.instructions.append(self._instruction(statement))

    def _declare(self, kind: str, names: str) -> None:
        for name in names.split(","):
            several = re.fullmatch(r"\s*([%$\w]+)<(\d+)>\s*", name)
            single = [f"{several[1]}{number}" for number in range(int(several[2]))] if several else [name.strip()]
            for one in single:
                self._scopes[-1][one] = one if len(self._scopes) == 1 else f"{one}.{self._blocks}"
                self.registers[self._scopes[-1][one]] = BITS[kind.removeprefix(".")]

    def _instruction(self, statement: str) -> Instruction:
        guard, negated, rest = None, False, statement
        if statement.startswith("@"):
            predicate, rest = statement[1:].split(None, 1)
            guard, negated = self._renamed(predicate.lstrip("!")), predicate.startswith("!")
        opcode, operands = (*rest.split(None, 1), "")[:2]
        return Instruction(
            tuple(opcode.replace("::", ":").split(".")),
            tuple(self._renamed(operand) for operand in _split(operands)),
            guard,
            negated,
            " ".join(statement.split()),
            self._source,
        )

    def _renamed(self, operand: str) -> str:
        for scope in self._scopes[1:]:
            for name, new in scope.items():
                operand = re.sub(rf"(?<![%$\w]){re.escape(name)}(?![\w])", new, operand)
        return operand


def _split(operands: str) -> Iterator[str]:
    """Operands at the commas between them; braces and brackets hold one together."""
    for operand in re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|[^,{\[])+", operands):
        if operand.strip():
            yield operand.strip()
