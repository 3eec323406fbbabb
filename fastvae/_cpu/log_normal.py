"""Log-density of a diagonal Gaussian, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastvae import _C, _outputs


def log_normal(*density: Any) -> Tensor:
    log_prob = _outputs.loss(density[0], *density[-2:])
    _C.log_normal(density, log_prob, torch.get_num_threads())
    return log_prob


def log_normal_backward(grad_log_prob: Tensor, *args: Any) -> tuple[Tensor | None, ...]:
    density, wanted = args[:-1], args[-1]
    gradients = _outputs.gradients(wanted, *density[:3])
    _C.log_normal_backward(grad_log_prob, density, gradients, torch.get_num_threads())
    return gradients
