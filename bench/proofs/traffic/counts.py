"""What one provider does for one workload: bytes and launches of forward and of backward."""

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


@dataclass(frozen=True)
class Row:
    """Bytes and launches of one provider, forward and backward."""

    op: str
    size: str
    dtype: str
    provider: str
    forward_bytes: int
    backward_bytes: int
    bytes_per_element: float
    forward_launches: int
    backward_launches: int


def row_of(workload: Workload, provider: str, forward: Tally, backward: Tally) -> Row:
    """The row of what `provider` does for `workload`."""
    return Row(
        op=workload.sized.op.name,
        size=workload.sized.size,
        dtype=workload.dtype,
        provider=provider,
        forward_bytes=forward.bytes,
        backward_bytes=backward.bytes,
        bytes_per_element=(forward.bytes + backward.bytes) / workload.sized.elements,
        forward_launches=forward.launches,
        backward_launches=backward.launches,
    )


def count(
    function: Function, workload: Workload, counted: Callable[[], AbstractContextManager[Tally]]
) -> tuple[Tally, Tally]:
    """What forward and backward of `function` do while `counted` looks on.

    The gradient of z is dense, as from a decoder; that of the loss is 1.
    """
    inputs = workload.inputs()
    with counted() as forward:
        outputs = function(*inputs.differentiable, *inputs.constant)
    upstream = inputs.upstream_of(outputs)
    with counted() as backward:
        torch.autograd.grad(outputs, inputs.differentiable, upstream)
    return forward, backward
