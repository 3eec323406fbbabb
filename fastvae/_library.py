"""Registers an op with PyTorch's dispatcher, which a call in plain eager mode bypasses.

The CPU implementation is `fastvae._C.<op>`, the CUDA (and ROCm) one `fastvae._triton.<op>`, imported on
first use, so that importing fastvae loads neither Triton nor CUDA. `torch.library.Library` rather than
`custom_op`: it costs microseconds less a call and leaves autograd to `fastvae._autograd`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, Protocol, TypeVar, cast

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastvae import _backend
from fastvae._extension import _C
from fastvae._schema import flat, nesting, parameters, schema

P = ParamSpec("P")
R = TypeVar("R")
Implementation = Callable[..., object]

_library: Final = torch.library.Library("fastvae", "DEF")


class _Batch(Protocol):
    """What `torch.func.vmap` tells a rule."""

    batch_size: int


@functools.cache
def _in_triton(name: str) -> Implementation:
    implementation: Implementation = getattr(importlib.import_module("fastvae._triton"), name)
    return implementation


def _wanted(output: Tensor, wanted: bool) -> Tensor | None:
    return output if wanted else None


def op(
    *,
    vmap: Implementation | None = None,
    mutates: tuple[str, ...] = (),
    everywhere: Implementation | None = None,
    tags: Sequence[torch.Tag] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make an op of a function that allocates its outputs: of its name, its arguments and its annotations.

    The function itself is the fake implementation, which is all that a tracer and the meta device see; a call of the op
    runs the kernels. An output nobody asked for is None. The dispatcher knows no absent output: from there it comes as
    an empty tensor, and as None again where `wanted` says so.

    Args:
        vmap: the op's rule of `fastvae._vmap`; none for an op that no transform meets.
        mutates: the arguments that the op writes to.
        everywhere: serves every device, in place of the kernels.
    """

    def register(fake: Callable[P, R]) -> Callable[P, R]:
        name = fake.__name__
        types, as_declared = parameters(fake), nesting(fake)
        # An absent output is an empty tensor of the device and dtype of the first tensor that is always there.
        like = list(types.values()).index(Tensor)
        masked = "wanted" in types

        def on_cuda(*arguments: object) -> object:
            return _in_triton(name)(*arguments)

        in_cpp: Implementation = everywhere or getattr(_C, name)

        def on_cpu(*arguments: object) -> object:
            return on_cuda(*arguments) if _backend.requested() == "triton" else in_cpp(*arguments)

        def dispatched(function: Implementation) -> Implementation:
            """As the dispatcher calls it, which knows neither options nor an absent output."""

            def run(*arguments: object) -> object:
                outputs = function(*as_declared(*arguments))
                if not isinstance(outputs, tuple):
                    return outputs
                present = arguments[like]
                assert isinstance(present, Tensor)
                return tuple(present.new_empty(0) if output is None else output for output in outputs)

            return run

        by_device = {"cpu": everywhere or on_cpu, "cuda": everywhere or on_cuda}
        _library.define(f"{name}{schema(fake, mutates)}", tags=(torch.Tag.pt2_compliant_tag, *tags))
        _library.impl(name, dispatched(by_device["cpu"]), "CPU")
        _library.impl(name, dispatched(by_device["cuda"]), "CUDA")
        torch.library.register_fake(f"fastvae::{name}", dispatched(fake), lib=_library)
        overload = getattr(torch.ops.fastvae, name).default
        if vmap is not None:

            def batched(*arguments: object) -> object:
                return overload(*flat(arguments))

            def rule(info: _Batch, dims: tuple[int | None, ...], *arguments: object) -> object:
                return vmap(batched, info.batch_size, dims, *as_declared(*arguments))

            torch.library.register_vmap(f"fastvae::{name}", rule, lib=_library)

        def call(*arguments: object) -> object:
            # 5 us a call: in plain eager mode, on tensors that are nothing but memory on one device, the dispatcher
            # would only find the kernel.
            device = None if is_dynamo_compiling() else _C.direct_call_device(arguments)
            if device is not None:
                return by_device[device](*arguments)
            outputs = overload(*flat(arguments))
            return tuple(map(_wanted, outputs, cast("Sequence[bool]", arguments[-1]))) if masked else outputs

        return cast("Callable[P, R]", functools.update_wrapper(call, fake))

    return register
