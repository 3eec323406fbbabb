"""One change of a source file, and what operators, functions and numbers are changed into."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np

OPERATORS: Final = {
    "+": "-", "-": "+", "*": "/", "/": "*", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "+=": "-=", "-=": "+=", "*=": "/=", "&": "|", "|": "&", "&&": "||", "||": "&&", "and": "or", "or": "and",
    "<<": ">>", ">>": "<<", "^": "&", "//": "*", "%": "*",
}  # fmt: skip
FUNCTIONS: Final = {
    "minimum": "maximum", "maximum": "minimum", "min": "max", "max": "min", "exp": "expm1", "expm1": "exp",
    "log1p": "log", "at_least": "at_most", "at_most": "at_least", "smaller": "larger", "abs": "neg",
}  # fmt: skip
_NUMBER: Final = re.compile(
    r"(?P<digits>0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*(?:[pP][+-]?\d+)?|[\d.]+(?:[eE][+-]?\d+)?)(?P<suffix>[a-zA-Z]*)"
)


class Change(NamedTuple):
    """The bytes from `start` to `end` of a file replaced by `text`, within an expression from `begin` to `stop`."""

    start: int
    end: int
    text: str
    begin: int
    stop: int

    def applied(self, source: bytes) -> bytes:
        """The source with the change in it."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def expression(self, source: bytes) -> str:
        """The expression as it becomes."""
        return (source[self.begin : self.start] + self.text.encode() + source[self.end : self.stop]).decode()

    def line(self, source: bytes) -> int:
        """The line of the file, from 1."""
        return source.count(b"\n", 0, self.start) + 1


def other_number(literal: str, exact: bool) -> str:
    """A number beside it: an integer's successor, and of a fraction its neighbour in float32 (`exact`) or 1/1000 more.

    Args:
        literal: as Python or C++ writes it.
        exact: whether tests compare the bits of what is computed with it.
    """
    match = _NUMBER.fullmatch(literal.replace("_", "").replace("'", ""))
    if match is None:
        raise ValueError(f"literal: got {literal!r}; takes a number of Python or C++")
    digits, suffix = match["digits"], match["suffix"]
    hexadecimal = digits[:2].lower() == "0x"
    if not re.search(r"[.pP]" if hexadecimal else r"[.eE]", digits):
        return f"{int(digits, 0) + 1}{suffix}"
    value = float.fromhex(digits) if hexadecimal else float(digits)
    if value == 0:
        other = 1.0
    elif exact:
        other = float(np.nextafter(np.float32(value), np.float32(np.inf)))
    else:
        other = float(f"{value * 1.001:.9g}")  # short, for the reader
    return f"{other!r}{suffix}"
