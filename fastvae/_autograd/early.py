"""Gradients that are written during forward, where the reduction is a scalar: the inputs are read once.

They are exact for an upstream gradient of 1; backward multiplies them by any other on the device. A second backward
through a retained graph recomputes them from the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastvae import _ops


def in_transform() -> bool:
    """Under torch.compile and functorch a gradient kept between the passes would be one more saved activation."""
    return is_dynamo_compiling() or torch._C._are_functorch_transforms_active()


def is_worth_it(reduction: str) -> bool:
    """May forward write the gradients of a loss that is reduced so?"""
    return reduction not in ("none", "sample") and torch.is_grad_enabled() and not in_transform()


def loses_small_values(*operands: Tensor | None) -> bool:
    """A float16 gradient written before a loss scale reaches it has lost its small values."""
    return any(operand is not None and operand.dtype == torch.float16 for operand in operands)


def scaled(written: Sequence[Tensor | None], upstream: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients times their upstream: in place, or a product for each of a batch of upstream gradients."""
    if _is_batched(upstream):
        return tuple(None if gradient is None else gradient * upstream for gradient in written)
    present = [gradient for gradient in written if gradient is not None]
    if present:
        second, third = (*present[1:], None, None)[:2]
        _ops.scale_gradients(present[0], second, third, upstream)
    return tuple(written)


def _is_batched(upstream: Tensor) -> bool:
    """Is it a batch of upstream gradients: vmap's, or that of torch.autograd.grad(is_grads_batched=True)?"""
    return torch._C._are_functorch_transforms_active() or torch._C._functorch.is_legacy_batchedtensor(upstream)
