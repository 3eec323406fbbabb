"""The one place where a public function may hand over to its namesake in `fastvae.reference`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fastvae import _backend

P = ParamSpec("P")
R = TypeVar("R")


def with_reference(function: Callable[P, R]) -> Callable[P, R]:
    """Run `fastvae.reference.<name>` instead where this thread asked for the reference backend."""

    @functools.wraps(function)
    def dispatch(*args: P.args, **kwargs: P.kwargs) -> R:
        if _backend.requested() == "reference":
            reference: Callable[P, R] = getattr(importlib.import_module("fastvae.reference"), function.__name__)
            return reference(*args, **kwargs)
        return function(*args, **kwargs)

    return dispatch
