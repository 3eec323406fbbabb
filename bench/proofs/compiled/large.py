"""The kernels of large tensors, whose blocks are large, as a training step launches them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import torch
import torch.nn.functional as T
from triton.compiler import CompiledKernel

import fastvae
import fastvae.functional as F
from bench import ops
from bench.ops import Inputs, Op, Shape
from bench.proofs.compiled.driver import offline

SHAPE: Final = (2048, 1024)
"""Enough elements for large blocks. Nothing reads them."""


def _probabilities(shape: Shape) -> Inputs:
    inputs = ops.BCE.inputs(shape)
    return inputs._replace(differentiable=tuple(x.detach().sigmoid().requires_grad_() for x in inputs.differentiable))


_BCE_PROBABILITIES: Final = replace(
    ops.BCE,
    name="bce_probabilities",
    inputs=_probabilities,
    fastvae=lambda x, target: (F.binary_cross_entropy(x, target, reduction="sum"),),
    peers={"": lambda x, target: (T.binary_cross_entropy(x, target, reduction="sum"),)},
)


def _halved(op: Op) -> Op:
    """The op in bfloat16, a target that is no bytes, too."""
    return replace(op, inputs=lambda *shapes: op.inputs(*shapes).to(torch.bfloat16), dtype="bfloat16")


OPS: Final = (
    ops.REPARAMETERIZE_KL,
    _halved(ops.REPARAMETERIZE_KL),
    ops.REPARAMETERIZE_KL_PACKED,
    ops.REPARAMETERIZE_KL_PACKED_HALF,
    ops.BCE,
    _halved(ops.BCE),
    ops.BCE_BYTES,
    ops.BCE_BYTES_HALF,
    _BCE_PROBABILITIES,
    ops.MSE,
    _halved(ops.MSE),
    ops.GAUSSIAN_NLL,
)
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


def name_of(op: Op) -> str:
    """The op with its dtypes, as in tables."""
    return " ".join((op.name, op.dtype, *([f"{op.target} target"] if op.target == "uint8" else [])))


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
