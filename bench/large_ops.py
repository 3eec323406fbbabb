"""The ops whose kernels are counted, modelled and profiled on large tensors: those of `bench.ops`, in more dtypes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
import torch.nn.functional as T

import fastvae.functional as F
from bench import ops
from bench.ops import Inputs, Op, Shape


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


def name_of(op: Op) -> str:
    """The op with its dtypes, as in tables."""
    return " ".join((op.name, op.dtype, *([f"{op.target} target"] if op.target == "uint8" else [])))
