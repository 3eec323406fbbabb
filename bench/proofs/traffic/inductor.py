"""Kernels that torch.compile would generate for a GPU.

Bytes are inductor's own account of a kernel: each buffer is read once and written once, of a slice only what is used.
For a process of its own: `absent_gpu` changes this one for good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Final, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch._inductor.compile_fx import compile_fx, compile_fx_inner
from torch._inductor.graph import GraphLowering
from torch.fx import GraphModule

from bench.ops import Function
from bench.proofs.traffic import absent_gpu
from bench.proofs.traffic.counts import Tally
from bench.proofs.traffic.workloads import Workload

_LAUNCH: Final = re.compile(r"^ +(?:\w+ = )?(?:\w+\.run|(?:aten|extern_kernels|torch\.ops)(?:\.\w+)+)\(", re.MULTILINE)
"""A call in the generated code: of a Triton kernel, or of an op that PyTorch brings, such as the draw of a seed."""


class _CompiledError(Exception):
    """Instead of running what was compiled for a device that is not there."""


class Generated(NamedTuple):
    """Code for forward or for backward, and what it would do."""

    code: str
    tally: Tally


def generated(function: Function, inputs: Sequence[Tensor]) -> tuple[Generated, Generated]:
    """What would be generated for forward and backward of `function`."""
    # By whether it is backward's; no code is made where nothing is to do.
    found = {False: Generated("", Tally()), True: Generated("", Tally())}

    def take(graph: GraphLowering) -> Any:
        """The last step of a compilation, which would load the code."""
        code, _ = graph.codegen()
        moved, *_ = graph.count_bytes()
        found[graph.is_backward] = Generated(code.value, Tally(moved, len(_LAUNCH.findall(code.value))))
        return SimpleNamespace(call=None)

    def lower(graph: GraphModule, examples: Sequence[Any], **options: Any) -> Any:
        return compile_fx_inner(graph, absent_gpu.move(graph, examples), **options)

    def backend(graph: GraphModule, examples: list[Tensor]) -> Callable[..., Any]:
        compile_fx(graph, examples, inner_compile=lower)
        return cannot_run

    def cannot_run(*_: Any) -> Any:
        raise _CompiledError

    absent_gpu.pretend()
    torch.compiler.reset()
    with (
        mock.patch.object(GraphLowering, "compile_to_module", take),
        torch._inductor.config.patch(fx_graph_cache=False, compile_threads=1),
        torch._functorch.config.patch(enable_autograd_cache=False, force_non_lazy_backward_lowering=True),
        suppress(_CompiledError),
    ):
        torch.compile(function, backend=backend, fullgraph=True, dynamic=False)(*inputs)
    return found[False], found[True]


def count(workload: Workload) -> tuple[Tally, Tally]:
    """Forward and backward of the plain PyTorch, compiled."""
    inputs = workload.inputs()
    forward, backward = generated(workload.peer, (*inputs.differentiable, *inputs.constant))
    return forward.tally, backward.tally
