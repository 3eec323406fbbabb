"""The dispatcher's view of an op: a flat list of typed arguments, made from the annotations of a Python function.

An argument that is a NamedTuple, such as the options of an op, stands for its fields there, recursively.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, get_args, get_origin, get_type_hints

from torch import Tensor

Gradients = tuple[Tensor | None, ...]
"""As many as the op's last argument, `wanted`, has flags; None for each that is not wanted."""

_TYPES: Final[dict[object, str]] = {
    Tensor: "Tensor", Tensor | None: "Tensor?", float: "float", int: "int", int | None: "int?", bool: "bool",
    str: "str", str | None: "str?",
}  # fmt: skip


def _is_record(kind: Any) -> bool:
    return hasattr(kind, "_fields")


def parameters(function: Callable[..., object]) -> dict[str, Any]:
    """The names and types of the parameters of a function, or of the fields of a NamedTuple."""
    return {name: kind for name, kind in get_type_hints(function).items() if name != "return"}


def _arguments(function: Callable[..., object], mutated: tuple[str, ...]) -> Iterator[str]:
    for name, kind in parameters(function).items():
        if _is_record(kind):
            yield from _arguments(kind, mutated)
        elif get_origin(kind) is tuple:
            yield f"bool[{len(get_args(kind))}] {name}"
        else:
            yield f"{_TYPES[kind]}{'(a!)' * (name in mutated)} {name}"


def _returns(function: Callable[..., object]) -> str:
    kind = inspect.get_annotations(function, eval_str=True)["return"]
    if kind in (Tensor, None):
        return "Tensor" if kind is Tensor else "()"
    outputs = parameters(function)["wanted"] if kind == Gradients else kind
    count = len(get_args(outputs))
    return f"({', '.join(['Tensor'] * count)})"


def schema(function: Callable[..., object], mutated: tuple[str, ...] = ()) -> str:
    """What `torch.library.Library.define` takes behind the op's name."""
    return f"({', '.join(_arguments(function, mutated))}) -> {_returns(function)}"


def flat(arguments: Iterable[object]) -> list[object]:
    """The arguments as the dispatcher takes them."""
    result: list[object] = []
    for argument in arguments:
        if isinstance(argument, tuple) and hasattr(argument, "_fields"):
            result.extend(flat(argument))
        else:
            result.append(argument)
    return result


Layout = list["int | tuple[Callable[..., object], Layout]"]
"""Of each argument of a function: its place among the flat ones, or the NamedTuple that several of them make."""


def layout(function: Callable[..., object], places: Iterator[int] | None = None) -> Layout:
    places = itertools.count() if places is None else places
    kinds = parameters(function).values()
    return [(kind, layout(kind, places)) if _is_record(kind) else next(places) for kind in kinds]


def nested(of: Layout, arguments: Sequence[object]) -> list[object]:
    """The flat arguments as the function of this layout takes them."""
    return [arguments[at] if isinstance(at, int) else at[0](*nested(at[1], arguments)) for at in of]
