"""What becomes an operand of a kernel: upstream gradients and broadcast parameters as views of the unreduced shape."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import torch
from torch import Tensor

from fastvae._options import reduction_scale
from fastvae._outputs import compute_dtype


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


def seed(given: Tensor | None) -> tuple[Tensor | None, int]:
    """A seed as kernels take it: in memory of the device, or, where the host has it, by value."""
    if given is None:
        return None, 0
    return (None, int(given.item())) if on_host(given) else (given, 0)


def on_host(seed: Tensor) -> bool:
    """Is it in memory of the host? Under the interpreter it always is; tests of seeds on the device say otherwise."""
    return seed.is_cpu


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
