"""What the command line says, in one line, about a user's mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """A mistake the user can correct: an option, a path, a damaged file, a missing device."""

    exit_code = 2


class InterruptedRunError(UserError):
    """Ctrl-C during a run that can be resumed."""

    exit_code = 130


def first_problem(error: ValidationError, name: Callable[[str], str] = str) -> str:
    """What was got and what is taken, of the first field in `error`, which `name` spells as the user does."""
    problem = error.errors()[0]
    field = ".".join(part for part in problem["loc"] if isinstance(part, str))
    message = problem["msg"][0].lower() + problem["msg"][1:]
    if not field:
        return message
    got = "nothing" if problem["type"] == "missing" else repr(problem["input"])
    return f"{name(field)}: got {got}; {message}"
