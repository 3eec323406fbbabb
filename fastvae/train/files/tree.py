"""Nested values with tensors in them, as JSON and the tensors that it names: every bit and every type as it was."""

from __future__ import annotations

import json
import math
from typing import Any

from torch import Tensor


def taken_apart(value: Any) -> tuple[str, dict[str, Tensor]]:
    """`value` as JSON, and the tensors in it by names that say where each was.

    Args:
        value: None, numbers, text and tensors, in lists, tuples and dicts whose keys are text or whole numbers.

    Raises:
        TypeError: anything else, which is named.
    """
    tensors: dict[str, Tensor] = {}

    def plain(value: Any, where: str) -> Any:
        if isinstance(value, Tensor):
            name = f"{len(tensors)}{where}"
            tensors[name] = value
            return {"tensor": name}
        # Types of their own, such as a named tuple or an enumeration, would come back as the plain one.
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if type(value) in (list, tuple):
            items = [plain(each, f"{where}/{number}") for number, each in enumerate(value)]
            return items if type(value) is list else {"tuple": items}
        if isinstance(value, dict) and all(type(key) in (int, str) for key in value):
            return {"dict": [[key, plain(each, f"{where}/{key}")] for key, each in value.items()]}
        raise TypeError(f"{where}: got {type(value).__name__}; takes numbers, text, tensors, lists, tuples, dicts")

    return json.dumps(plain(value, ""), allow_nan=False, separators=(",", ":")), tensors


def put_together(text: str, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `taken_apart`.

    Raises:
        KeyError, TypeError, ValueError, RecursionError: what it has not made.
    """

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(each) for each in value]
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        if kind == "tensor":
            return tensors[content]
        if kind == "float":
            return float(content)
        if kind == "tuple":
            return tuple(whole(each) for each in content)
        if kind == "dict":
            return {key: whole(each) for key, each in content}
        raise ValueError(f"a value of kind {kind!r}")

    return whole(json.loads(text))
