"""Tensors as the C++ extension takes them: address, dtype code, strides over the shape of the op."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from fastvae import _C, _outputs
from fastvae._options import PARAMETERIZATIONS, ScaleForm, reduction_scale

# The codes of csrc/tensor.h and csrc/arguments.h.
_DTYPES: Final = {
    dtype: code
    for code, dtype in enumerate((torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.uint8, torch.bool))
}
_FORMS: Final = {name: code for code, name in enumerate(PARAMETERIZATIONS)}


def operand(tensor: Tensor | None, shape: torch.Size) -> _C.Tensor | None:
    """A tensor broadcast to `shape` by strides of 0; None stays None."""
    if tensor is None:
        return None
    strides = tensor.stride() if tensor.shape == shape else tensor.expand(shape).stride()
    return tensor.data_ptr(), _DTYPES[tensor.dtype], strides, 0


def looped(tensor: Tensor, dim: int) -> _C.Tensor:
    """A tensor whose dimension `dim` is one the kernel loops over, outside of the shape of the op."""
    strides = tensor.stride()
    return tensor.data_ptr(), _DTYPES[tensor.dtype], (*strides[:dim], *strides[dim + 1 :]), strides[dim]


def samples(tensor: Tensor | None, shape: torch.Size, num_samples: int | None) -> _C.Tensor | None:
    """A tensor of `shape`, or of `[num_samples, *shape]`."""
    return operand(tensor, shape) if tensor is None or num_samples is None else looped(tensor, 0)


def scale(form: ScaleForm) -> _C.Scale:
    return (_FORMS[form.parameterization], *form[1:])


def precise(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float64


def factor(like: Tensor, reduction: str | None, batch_dims: int) -> float:
    return reduction_scale(reduction or "sum", like.numel(), like.shape[:batch_dims].numel())


def upstream(grad: Tensor | None, like: Tensor, reduction: str | None, batch_dims: int) -> _C.Tensor | None:
    """The gradient of a reduced loss, broadcast back over what was summed."""
    if grad is not None and reduction == "sample":
        grad = grad[(..., *(None,) * (like.dim() - batch_dims))]
    return operand(grad, like.shape)


def loss(out: Tensor, like: Tensor, reduction: str, batch_dims: int, per_sample: Tensor | None = None) -> _C.Loss:
    """Where the kernel writes a loss over `like`, and its per-sample sums where they are wanted beside it."""
    beside = 0 if per_sample is None else per_sample.data_ptr()
    if reduction == "none":
        return operand(out, like.shape), beside, 0, 1.0
    if reduction == "sample":
        return None, out.data_ptr(), 0, 1.0  # beside it there is nothing: the loss is the per-sample sums
    return None, beside, out.data_ptr(), factor(like, reduction, batch_dims)


class Gradients:
    """Where a kernel writes gradients over the shape of `like`: those of broadcast operands in full, summed after."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._pending: list[tuple[Tensor, Tensor]] = []

    def operand(self, gradient: Tensor | None) -> _C.Tensor | None:
        """The destination of `gradient`; None stays None."""
        shape = self._like.shape
        if gradient is None or gradient.shape == shape:
            return operand(gradient, shape)
        full = torch.empty(shape, dtype=_outputs.compute_dtype(self._like))
        self._pending.append((full, gradient))
        return operand(full, shape)

    def finish(self) -> None:
        """Sum what was written at full size to the shape of its gradient, in a fixed order."""
        shape = self._like.shape
        for full, gradient in self._pending:
            sums = torch.zeros(gradient.shape, dtype=torch.float64)
            _C.sum_to(shape, precise(full), operand(full, shape), operand(sums, shape))
            gradient.copy_(sums)
