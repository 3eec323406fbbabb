"""The importance-weighted bound, forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae import _C, _outputs


def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    bound = _outputs.importance_weighted_bound(log_w, dim)
    _C.importance_weighted_bound(log_w, dim, bound, torch.get_num_threads())
    return bound


def importance_weighted_bound_backward(grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int) -> Tensor:
    grad_log_w = torch.empty_like(log_w)
    _C.importance_weighted_bound_backward(grad_bound, log_w, bound, dim, grad_log_w, torch.get_num_threads())
    return grad_log_w
