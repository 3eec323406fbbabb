"""Reconstruction losses, forward and backward, and the scaling of a gradient written in forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastvae import _C, _outputs


def reconstruction(name: str, input: Tensor, *args: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
    *options, per_sample, grad = args
    outputs = _outputs.reconstruction(input, *options[-2:], per_sample, grad)
    _C.reconstruction(name, input, *options, *outputs, torch.get_num_threads())
    return outputs


def reconstruction_inplace(name: str, input: Tensor, *args: Any) -> tuple[Tensor, Tensor | None]:
    *options, per_sample = args
    loss, samples, _ = _outputs.reconstruction(input, *options[-2:], per_sample, False)
    _C.reconstruction(name, input, *options, loss, samples, input, torch.get_num_threads())
    return loss, samples


def reconstruction_backward(
    name: str, grad_loss: Tensor, input: Tensor, target: Tensor, weight: Tensor | None, log_scale: Tensor | None,
    *args: Any,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    *options, wanted = args
    gradients = _outputs.gradients(wanted, input, target, log_scale)
    _C.reconstruction_backward(
        name, grad_loss, input, target, weight, log_scale, *options, *gradients, torch.get_num_threads()
    )
    return gradients


def scale_gradient(grad: Tensor, upstream: Tensor) -> None:
    _C.scale_gradient(grad, upstream, torch.get_num_threads())
