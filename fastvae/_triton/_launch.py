"""What every launch shares: block sizes, operands, the device check and upstream gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae._outputs import compute_dtype
from fastvae._triton import _layout
from fastvae._triton._layout import Operand, Plan

INTERPRETED: Final = bool(triton.knobs.runtime.interpret)
"""Whether the kernels were built for Triton's interpreter, which pays for programs rather than elements."""

_BLOCKS: Final = {8: 512, 4: 1024, 2: 2048}
"""Elements a program covers, by the size of one: eight float32 a thread, two vector loads an operand."""


def block(like: Tensor) -> int:
    """The elements one program covers."""
    return 4096 if INTERPRETED else _BLOCKS[like.element_size()]


def kernel_dtype(like: Tensor) -> Any:
    """The Triton dtype of arithmetic on `like`."""
    return tl.float64 if compute_dtype(like) == torch.float64 else tl.float32


def run(kernel: Any, programs: int, like: Tensor, *args: Any, **options: Any) -> None:
    """Launch `kernel` on the device of `like`.

    Raises:
        RuntimeError: a CPU tensor without the interpreter.
    """
    check_device(like)
    with torch.cuda.device_of(like):
        kernel[(programs,)](*args, **options)


def check_device(like: Tensor) -> None:
    """CPU tensors need the interpreter."""
    if like.device.type == "cpu" and not INTERPRETED:
        raise RuntimeError(
            "backend: got 'triton' for a CPU tensor; takes TRITON_INTERPRET=1 in the environment, set before triton is "
            "first imported, or a CUDA tensor"
        )


def operands(
    tensors: Sequence[Tensor | None], row_dims: int, *, logical: bool = False
) -> tuple[Plan, list[Operand | None]]:
    """The plan for tensors of one shape and the operands of a kernel, None for None.

    With `logical` the plan's last steps are those of the row-major index.
    """
    like = tensors[0]
    assert like is not None
    strides = [tensor.stride() for tensor in tensors if tensor is not None]
    if logical:
        strides.append(_layout.contiguous_strides(like.shape))
    plan = _layout.plan(tuple(like.shape), tuple(strides), row_dims, block(like))
    steps = iter(plan.steps)
    return plan, [None if tensor is None else Operand(tensor, next(steps)) for tensor in tensors]


def upstream(gradient: Tensor, shape: torch.Size, reduction: str, batch_dims: int) -> Tensor:
    """The gradient of a reduced loss as a view of the unreduced shape."""
    if reduction == "sample":
        gradient = gradient[(..., *(None,) * (len(shape) - batch_dims))]
    return gradient.expand(shape)


def divisor(reduction: str, shape: torch.Size, batch_dims: int) -> int:
    """What a sum over everything is divided by."""
    return {"mean": shape.numel(), "batchmean": shape[:batch_dims].numel()}.get(reduction, 1)


def full_gradient(operand: Tensor | None, shape: torch.Size, wanted: bool, gradient: Tensor) -> Tensor | None:
    """Where a kernel writes the gradient of an operand that broadcasts to `shape`: `gradient` itself if it need not."""
    if not wanted or operand is None:
        return None
    if operand.shape == shape:
        return gradient
    return gradient.new_empty(shape, dtype=compute_dtype(gradient))


def narrow(written: Tensor | None, gradient: Tensor) -> None:
    """Sum what a kernel wrote at the full shape into the operand's own `gradient`."""
    if written is not None and written is not gradient:
        gradient.copy_(written.sum_to_size(gradient.shape))
