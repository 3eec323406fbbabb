"""Log-density of a diagonal Gaussian, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastvae import _C, _outputs


def log_normal(z: Tensor, *options: Any) -> Tensor:
    log_prob = _outputs.loss(z, *options[-2:])
    _C.log_normal(z, *options, log_prob, torch.get_num_threads())
    return log_prob


def log_normal_backward(grad_log_prob: Tensor, z: Tensor, *args: Any) -> tuple[Tensor | None, ...]:
    *options, wanted = args
    gradients = _outputs.gradients(wanted, z, *options[:2])
    _C.log_normal_backward(grad_log_prob, z, *options, *gradients, torch.get_num_threads())
    return gradients
