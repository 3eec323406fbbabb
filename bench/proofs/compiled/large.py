"""The kernels of large tensors, whose blocks are large, as a training step launches them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import torch
from triton.compiler import CompiledKernel

import fastvae
from bench.large_ops import OPS, name_of
from bench.ops import Op
from bench.proofs.compiled.driver import offline

SHAPE: Final = (2048, 1024)
"""Enough elements for large blocks. Nothing reads them."""
# Kernels that touch every element. Others add partial sums, or end at once because the upstream gradient is 1.
_WHOLE: Final = ("_forward", "_backward")


class LargeKernel(NamedTuple):
    """A kernel that touches every element of a large tensor.

    Attributes:
        name: the op with its dtypes, and forward or backward.
        elements: that one program covers.
    """

    name: str
    kernel: CompiledKernel
    elements: int


def compiled(target: str, chosen: Sequence[Op] = OPS) -> Iterator[LargeKernel]:
    """The kernels of these ops, compiled for a target. In a process of its own, with Triton's interpreter off."""
    with offline(target) as driver, fastvae.use_backend("triton"):
        for op in chosen:
            driver.launched.clear()
            inputs = op.inputs(SHAPE)
            outputs = op.fastvae(*inputs.differentiable, *inputs.constant)
            torch.autograd.grad(outputs, inputs.differentiable, inputs.upstream_of(outputs))
            for kernel, programs, _ in driver.launched:
                if kernel.name in _WHOLE:
                    elements = SHAPE[0] * SHAPE[1] // programs
                    yield LargeKernel(f"{name_of(op)} {kernel.name.strip('_')}", kernel, elements)
