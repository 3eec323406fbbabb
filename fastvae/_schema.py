"""The dispatcher's view of an op: a flat list of typed arguments, made from the annotations of a Python function.

An argument that is a NamedTuple, such as the options of an op, stands for its fields there, recursively; a bound that
is infinite, for which a saved program has no number, is None; and a pair of ints is a list.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, get_args, get_origin, get_type_hints

from torch import Tensor

from fastvae._options import Lower, Upper

Gradients = tuple[Tensor | None, ...]
"""As many as the op's last argument, `wanted`, has flags; None for each that is not wanted."""

_TYPES: Final[dict[object, str]] = {
    Tensor: "Tensor", Tensor | None: "Tensor?", float: "float", int: "int", int | None: "int?", bool: "bool",
    Lower: "float?", Upper: "float?", str: "str", str | None: "str?", tuple[int, int] | None: "SymInt[2]?",
}  # fmt: skip
_AS_DECLARED: Final[dict[object, str]] = {
    Lower: "-inf if {0} is None else {0}", Upper: "inf if {0} is None else {0}",
    tuple[int, int] | None: "{0} and tuple({0})",
}  # fmt: skip


def _is_record(kind: Any) -> bool:
    return hasattr(kind, "_fields")


def parameters(function: Callable[..., object]) -> dict[str, Any]:
    """The names and types of the parameters of a function, or of the fields of a NamedTuple."""
    return {name: kind for name, kind in get_type_hints(function, include_extras=True).items() if name != "return"}


def _arguments(function: Callable[..., object], mutated: tuple[str, ...]) -> Iterator[str]:
    for name, kind in parameters(function).items():
        if _is_record(kind):
            yield from _arguments(kind, mutated)
        elif get_origin(kind) is tuple:
            yield f"bool[{len(get_args(kind))}] {name}"
        else:
            alias = f"Tensor({'abc'[mutated.index(name)]}!)" if name in mutated else "Tensor"
            yield f"{_TYPES[kind].replace('Tensor', alias)} {name}"


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
        elif type(argument) is float and argument in (-math.inf, math.inf):
            result.append(None)
        else:
            result.append(argument)
    return result


def nesting(function: Callable[..., object]) -> Callable[..., tuple[object, ...]]:
    """The reverse for one function: takes the flat arguments, returns those of the function.

    Written out as source and compiled, as `collections.namedtuple` is: 3 us a call less than a loop over the types.
    """
    records: dict[str, object] = {"inf": math.inf}
    places = itertools.count()

    def sources(function: Callable[..., object]) -> Iterator[str]:
        for kind in parameters(function).values():
            if _is_record(kind):
                name = f"record{len(records)}"
                records[name] = kind
                yield f"{name}({', '.join(sources(kind))})"
            else:
                yield _AS_DECLARED.get(kind, "{0}").format(f"a{next(places)}")

    arguments = ", ".join(sources(function))
    taken = ", ".join(f"a{place}" for place in range(next(places)))
    compiled: Callable[..., tuple[object, ...]] = eval(f"lambda {taken}: ({arguments},)", records)
    return compiled
