"""Kernels that torch.compile would generate for a GPU.

Bytes are inductor's own account of a kernel: each buffer is read once and written once, of a slice only what is used.
For a process of its own: `absent_gpu` changes this one for good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final
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


def generated(function: Function, inputs: Sequence[Tensor]) -> tuple[Tally, Tally]:
    """What the code for forward and backward of `function` would do."""
    tallies = {False: Tally(), True: Tally()}  # by whether it is backward's; no code is made where nothing is to do

    def take(graph: GraphLowering) -> Any:
        """The last step of a compilation, which would load the code."""
        code, _ = graph.codegen()
        moved, *_ = graph.count_bytes()
        tallies[graph.is_backward] = Tally(moved, len(_LAUNCH.findall(code.value)))
        return SimpleNamespace(call=None)

    def lower(graph: GraphModule, examples: Sequence[Any], **options: Any) -> Any:
        return compile_fx_inner(graph, absent_gpu.move(graph, examples), **options)

    def backend(graph: GraphModule, examples: list[Tensor]) -> Callable[..., Any]:
        compile_fx(graph, examples, inner_compile=lower)
        # What is compiled cannot run: the call of the compiled function runs the graph as it is.
        return graph.forward

    absent_gpu.pretend()
    torch.compiler.reset()
    with (
        mock.patch.object(GraphLowering, "compile_to_module", take),
        torch._inductor.config.patch(fx_graph_cache=False, compile_threads=1),
        torch._functorch.config.patch(enable_autograd_cache=False, force_non_lazy_backward_lowering=True),
    ):
        torch.compile(function, backend=backend, fullgraph=True, dynamic=False)(*inputs)
    return tallies[False], tallies[True]


def count(workload: Workload) -> tuple[Tally, Tally]:
    """Forward and backward of the plain PyTorch, compiled."""
    inputs = workload.inputs()
    return generated(workload.peer, (*inputs.differentiable, *inputs.constant))
