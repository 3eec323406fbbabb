"""Forward and backward of a workload, each counted by itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from bench.ops import Function
from bench.proofs.traffic.workloads import Workload


@dataclass
class Tally:
    """Bytes that kernels read and write, and how often a kernel is launched."""

    bytes: int = 0
    launches: int = 0


def count(
    function: Function, workload: Workload, counted: Callable[[], AbstractContextManager[Tally]]
) -> tuple[Tally, Tally]:
    """What forward and backward of `function` do while `counted` looks on.

    The gradient of z is dense, as from a decoder; that of the loss is 1.
    """
    inputs = workload.inputs()
    with counted() as forward:
        outputs = function(*inputs.differentiable, *inputs.constant)
    upstream = [
        torch.ones_like(output) if gradient is None else gradient.to(output.dtype)
        for output, gradient in zip(outputs, inputs.upstream, strict=True)
    ]
    with counted() as backward:
        torch.autograd.grad(outputs, inputs.differentiable, upstream)
    return forward, backward
