"""An op at one size, and one call of it: what is timed on a CPU and on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import _engine_run_backward

from bench import ops
from bench.ops import Function, Inputs, Op, Shape, size_name
from bench.timing import Trial


class SizedOp(NamedTuple):
    """An op and the shapes that its inputs are made from: of the latent, of the pixels, or of both."""

    op: Op
    shapes: tuple[Shape, ...]

    @property
    def size(self) -> str:
        """The shapes in one word."""
        return size_name(self.shapes)

    @property
    def elements(self) -> int:
        """Of the pixels, or of the latent where there are none."""
        return math.prod(self.shapes[-1])

    @property
    def min_bytes(self) -> int | None:
        """What forward and backward together must move; None where bytes do not bound it."""
        return None if self.op.min_bytes is None else self._total(self.op.min_bytes)

    @property
    def max_peak(self) -> int | None:
        """What they may allocate at once; None where nothing is asked."""
        return None if self.op.max_peak is None else self._total(self.op.max_peak) + self.op.scratch

    def _total(self, bytes_each: Sequence[int]) -> int:
        return sum(math.prod(shape) * each for shape, each in zip(self.shapes, bytes_each, strict=True))

    def inputs(self, device: str = "cpu") -> Inputs:
        """Inputs on a device."""
        with torch.device(device):
            return self.op.inputs(*self.shapes)


def trial(function: Function, inputs: Inputs, mode: str, *, fresh: bool = False) -> Trial:
    """The call of one function.

    Gradients are returned instead of accumulated, since the inputs stand for the outputs of a network. Backward is what
    `torch.autograd.grad` hands to the engine: its checks of its arguments, 4 us an output, are paid once a training
    step and belong to no op.

    Args:
        mode: ``"forward"`` of inputs that need a gradient, ``"backward"`` alone, or ``"both"``.
        fresh: copy the differentiable inputs off the clock.
    """

    upstream = tuple(torch.ones(()) if gradient is None else gradient for gradient in inputs.upstream)

    def arguments() -> tuple[Tensor, ...]:
        return tuple(tensor.clone() for tensor in inputs.differentiable) if fresh else inputs.differentiable

    def forward(differentiable: tuple[Tensor, ...]) -> ops.Outputs:
        return function(*differentiable, *inputs.constant)

    def backward(outputs: ops.Outputs, differentiable: tuple[Tensor, ...]) -> ops.Outputs:
        gradients: ops.Outputs = _engine_run_backward(
            outputs, upstream, False, False, differentiable, allow_unreachable=False, accumulate_grad=False
        )
        return gradients

    def both(differentiable: tuple[Tensor, ...]) -> tuple[ops.Outputs, ops.Outputs]:
        outputs = forward(differentiable)
        return outputs, backward(outputs, differentiable)

    def ready() -> tuple[ops.Outputs, tuple[Tensor, ...]]:
        differentiable = arguments()
        return forward(differentiable), differentiable

    by_mode = {
        "forward": Trial(arguments, forward),
        "backward": Trial(ready, lambda given: backward(*given)),
        "both": Trial(arguments, both),
    }
    return by_mode[mode]
