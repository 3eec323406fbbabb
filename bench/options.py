"""What the command lines of the benches share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


class Names(click.ParamType[tuple[str, ...]]):
    """Names from a set, separated by commas."""

    name = "list"

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Each once, in the order given."""
        names = tuple(dict.fromkeys(value.split(",")))
        for name in names:
            if name not in self.choices:
                self.fail(f"got {name!r}; takes names from {', '.join(self.choices)}", param, ctx)
        return names
