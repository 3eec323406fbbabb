"""What every launch shares: block sizes, operands, the device check and upstream gradients."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae._options import reduction_scale
from fastvae._outputs import compute_dtype
from fastvae._triton import _layout
from fastvae._triton._layout import LANES, Operand, Plan, Steps

INTERPRETED: Final = bool(triton.knobs.runtime.interpret)
"""Whether the kernels were built for Triton's interpreter, which pays for programs rather than elements."""

_BLOCKS: Final = {8: 512, 4: 1024, 2: 1024}
"""Elements a program covers, by the size of one: two vector loads an operand and thread, and registers to spare."""


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
    return plan, [None if tensor is None else operand(tensor, next(steps)) for tensor in tensors]


def operand(tensor: Tensor, steps: Steps) -> Operand:
    """A view into an aligned storage starts there: Triton knows a pointer as aligned to 16 bytes or not at all."""
    start = tensor.storage_offset()
    if steps.unit.value == LANES and tensor.data_ptr() % 16 and start % LANES == 0:
        return Operand(tensor.as_strided((1,), (1,), 0), start // LANES, steps)
    return Operand(tensor, 0, steps)


def upstream(gradient: Tensor, shape: torch.Size, reduction: str, batch_dims: int) -> Tensor:
    """The gradient of a reduced loss as a view of the unreduced shape."""
    if reduction == "sample":
        gradient = gradient[(..., *(None,) * (len(shape) - batch_dims))]
    return gradient.expand(shape)


def factor(reduction: str, shape: torch.Size, batch_dims: int) -> int:
    """What a sum over everything is multiplied by, as `float_bits`."""
    return float_bits(reduction_scale(reduction, shape.numel(), shape[:batch_dims].numel()))


def float_bits(value: float) -> int:
    """The bits of a float64: Triton would pass a Python float as a float32."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits


def expanded(operands: Iterable[Tensor | None], shape: torch.Size) -> list[Tensor | None]:
    """Each operand as a view of `shape`."""
    return [None if operand is None else operand.expand(shape) for operand in operands]


def zero(gradients: Iterable[Tensor | None]) -> None:
    """The gradients of nothing."""
    for gradient in gradients:
        if gradient is not None:
            gradient.zero_()


def full_gradient(gradient: Tensor | None, like: Tensor) -> Tensor | None:
    """Where a kernel writes the gradient of an operand that broadcasts to `like`: `gradient` itself if it need not."""
    if gradient is None or gradient.shape == like.shape:
        return gradient
    return torch.empty_like(like, dtype=compute_dtype(like))


def narrow(written: Tensor | None, gradient: Tensor | None) -> None:
    """Sum what a kernel wrote at the full shape into the operand's own `gradient`, in float64."""
    if written is not None and gradient is not None and written is not gradient:
        lead = written.dim() - gradient.dim()
        kept = (1,) * lead + tuple(gradient.shape)
        summed = [dim for dim, (size, full) in enumerate(zip(kept, written.shape, strict=True)) if size != full]
        if summed:
            written = written.sum(summed, keepdim=True, dtype=torch.float64)
        gradient.copy_(written.reshape(gradient.shape))
