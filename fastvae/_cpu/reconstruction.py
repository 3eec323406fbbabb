"""Reconstruction losses, forward and backward, and the scaling of a gradient written in forward.

The pair of an op is what the family shares: input, target, weight, log_scale, full, reduction, batch_dims.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastvae import _C, _outputs


def reconstruction(name: str, *args: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
    pair, (per_sample, grad) = args[:-2], args[-2:]
    outputs = _outputs.reconstruction(pair[0], pair[-2], pair[-1], per_sample, grad)
    _C.reconstruction(name, pair, outputs, torch.get_num_threads())
    return outputs


def reconstruction_inplace(name: str, *args: Any) -> tuple[Tensor, Tensor | None]:
    pair, per_sample = args[:-1], args[-1]
    loss, samples, _ = _outputs.reconstruction(pair[0], pair[-2], pair[-1], per_sample, False)
    _C.reconstruction(name, pair, (loss, samples, pair[0]), torch.get_num_threads())
    return loss, samples


def reconstruction_backward(name: str, grad_loss: Tensor, *args: Any) -> tuple[Tensor | None, ...]:
    pair, wanted = args[:-1], args[-1]
    gradients = _outputs.gradients(wanted, pair[0], pair[1], pair[3])
    _C.reconstruction_backward(name, grad_loss, pair, gradients, torch.get_num_threads())
    return gradients


def scale_gradient(grad: Tensor, upstream: Tensor) -> None:
    _C.scale_gradient(grad, upstream, torch.get_num_threads())
