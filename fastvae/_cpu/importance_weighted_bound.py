"""The importance-weighted bound, forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae import _C, _outputs
from fastvae._cpu import _operands


def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    bound = _outputs.importance_weighted_bound(log_w, dim)
    _C.importance_weighted_bound(
        bound.shape,
        _operands.precise(log_w),
        torch.get_num_threads(),
        _operands.looped(log_w, dim),
        log_w.shape[dim],
        _operands.operand(bound, bound.shape),
    )
    return bound


def importance_weighted_bound_backward(grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int) -> Tensor:
    grad_log_w = torch.empty_like(log_w)
    _C.importance_weighted_bound_backward(
        bound.shape,
        _operands.precise(log_w),
        torch.get_num_threads(),
        _operands.operand(grad_bound, bound.shape),
        _operands.looped(log_w, dim),
        _operands.operand(bound, bound.shape),
        log_w.shape[dim],
        _operands.looped(grad_log_w, dim),
    )
    return grad_log_w
