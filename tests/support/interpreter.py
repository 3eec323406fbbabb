"""What Triton's interpreter computes again at every operation and need not, and what it computes wrong.

Types, shapes and element types are functions of a type's name; a device function's module is prepared once: half the
time of a small test. A fused multiply-add rounds once, as on a device.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from triton.language import block_type, core, dtype, semantic
from triton.runtime import interpreter
from triton.runtime.interpreter import TensorHandle

from fastvae.reference.fused import fma
from tests.simt.rounding import fma64


@cache
def remember() -> None:
    """Once in a process."""
    interpreter._patch_lang = _once_a_module(interpreter._patch_lang)
    interpreter._get_np_dtype = _once_a_type(interpreter._get_np_dtype)
    block_type.__init__ = _same_types(block_type.__init__)
    core.tensor.__init__ = _same_shapes(core.tensor.__init__)
    semantic.TritonSemantic.broadcast_impl_value = _unless_alike(semantic.TritonSemantic.broadcast_impl_value)
    interpreter.InterpreterBuilder.create_fma = _rounded_once(interpreter.InterpreterBuilder.create_fma)


def _once_a_module(patch: Any) -> Any:
    patched = set[str]()

    def patch_once(function: FunctionType) -> Any:
        if function.__module__ not in patched:
            patched.add(function.__module__)
            patch(function)
        return interpreter._LangPatchScope()  # which has nothing to restore

    return patch_once


def _once_a_type(find: Any) -> Any:
    found = dict[tuple[type, str], np.dtype[Any]]()

    def find_once(kind: Any) -> np.dtype[Any]:
        key = type(kind), kind.name
        if key not in found:
            found[key] = find(kind)
        return found[key]

    return find_once


def _same_types(make: Any) -> Any:
    made = dict[tuple[str, tuple[int, ...]], dict[str, Any]]()

    def make_once(self: block_type, element: dtype, shape: Iterable[int]) -> None:
        key = element.name, tuple(map(int, shape))
        if key not in made:
            make(self, element, [*key[1]])
            made[key] = vars(self).copy()
        vars(self).update(made[key])

    return make_once


def _same_shapes(make: Any) -> Any:
    made = dict[tuple[type, str], dict[str, Any]]()

    def make_once(self: core.tensor, handle: Any, kind: Any) -> None:
        key = type(kind), kind.name
        if key not in made:
            make(self, handle, kind)
            made[key] = vars(self).copy()
        vars(self).update(made[key], handle=handle, type=kind)

    return make_once


def _unless_alike(broadcast: Any) -> Any:
    def broadcast_others(self: Any, left: Any, right: Any) -> Any:
        if left.type.is_block() and right.type.is_block() and left.shape.values == right.shape.values:
            return left, right
        return broadcast(self, left, right)

    return broadcast_others


def _rounded_once(multiply_add: Any) -> Any:
    def fused(self: Any, x: TensorHandle, y: TensorHandle, z: TensorHandle) -> TensorHandle:
        terms = x.data, y.data, z.data
        if z.data.dtype == np.float32:
            return TensorHandle(fma(*terms), z.dtype.scalar)
        if z.data.dtype == np.float64:
            shape = np.broadcast_shapes(*(term.shape for term in terms))
            flat = (np.broadcast_to(term, shape).ravel() for term in terms)
            return TensorHandle(fma64(*flat).reshape(shape), z.dtype.scalar)
        return multiply_add(self, x, y, z)

    return fused
