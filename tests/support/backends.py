"""The implementations of the ops by name, and how a test runs on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

import fastvae
from tests.support.covering import label

BACKENDS = ("cpp", "triton", "reference")
KERNELS = BACKENDS[:2]


@contextmanager
def on(backend: str) -> Iterator[None]:
    """Run on a backend. On CPU tensors the Triton kernels run in its interpreter, whose numpy warns of infinities."""
    if backend == "triton":
        _patch_once_a_launch()
    with fastvae.use_backend("auto" if backend == "cpp" else backend):
        if backend != "triton":
            yield
            return
        with np.errstate(all="ignore"):
            yield


def on_each(cpp: Iterable[Any], triton: Iterable[Any]) -> list[Any]:
    """Parameters `backend` (a fixture) and `case`: fewer for the Triton kernels, a tenth of a second each."""
    cases = [("cpp", case) for case in cpp] + [("triton", case) for case in triton]
    return [pytest.param(backend, case, id=f"{backend}-{_name(case)}") for backend, case in cases]


def _name(case: Any) -> str:
    return label(case if isinstance(case, dict) else dict(enumerate(case if isinstance(case, tuple) else (case,))))


@cache
def _patch_once_a_launch() -> None:
    """The interpreter patches its language again at every call of a device function: two fifths of its time."""
    import triton.language as tl
    from triton.runtime.interpreter import InterpretedFunction

    patched_call = InterpretedFunction.__call__

    @cache
    def languages(function: FunctionType) -> list[ModuleType]:
        return [tl_or_core for tl_or_core in (tl, tl.core) if tl_or_core in function.__globals__.values()]

    def call(self: InterpretedFunction, *args: Any, **kwargs: Any) -> Any:
        if any(tl.core.is_builtin(language.load) for language in languages(self.fn)):
            return patched_call(self, *args, **kwargs)
        return self.rewrite()(*args, **kwargs)

    InterpretedFunction.__call__ = call
