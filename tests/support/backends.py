"""The implementations of the ops by name, and how a test runs on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FunctionType
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
        _patch_once()
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
def _patch_once() -> None:
    """What the interpreter does again for each device function and each operation: most of a small test's time."""
    from triton.language import block_type, dtype
    from triton.runtime import interpreter

    patch, patched = interpreter._patch_lang, set[str]()

    def patch_once(function: FunctionType) -> Any:
        if function.__module__ not in patched:
            patched.add(function.__module__)
            patch(function)
        return interpreter._LangPatchScope()  # which has nothing to restore

    interpreter._patch_lang = patch_once
    make, made = block_type.__init__, dict[tuple[str, tuple[int, ...]], dict[str, Any]]()

    def make_once(self: block_type, element: dtype, shape: Iterable[int]) -> None:
        key = element.name, tuple(map(int, shape))
        if key not in made:
            make(self, element, [*key[1]])
            made[key] = vars(self).copy()
        vars(self).update(made[key])

    block_type.__init__ = make_once
