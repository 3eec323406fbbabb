"""Reconstruction losses, forward and backward, and the scaling of a gradient written in forward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from fastvae import _C, _outputs
from fastvae._cpu import _operands

# The codes of csrc/arguments.h.
_LIKELIHOODS: Final = {
    name: code
    for code, name in enumerate(
        ("binary_cross_entropy_with_logits", "binary_cross_entropy", "mse_loss", "l1_loss", "gaussian_nll")
    )
}
_HALF_LOG_TWO_PI: Final = 0.5 * math.log(2 * math.pi)


def _evaluate(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    loss: _C.Loss,
    batch_dims: int,
    grad: Tensor | None,
) -> None:
    """Fill the loss and the gradient of the input, which may be the input itself."""
    shape = input.shape
    _C.reconstruction(
        shape,
        batch_dims,
        _operands.precise(input),
        torch.get_num_threads(),
        _LIKELIHOODS[name],
        _operands.operand(input, shape),
        _operands.operand(target, shape),
        _operands.operand(weight, shape),
        _operands.operand(log_scale, shape),
        _HALF_LOG_TWO_PI if full else 0.0,
        loss,
        _operands.operand(grad, shape),
    )


def reconstruction(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    per_sample: bool,
    grad: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    loss, samples, gradient = _outputs.reconstruction(input, reduction, batch_dims, per_sample, grad)
    out = _operands.loss(loss, input, reduction, batch_dims, samples)
    _evaluate(name, input, target, weight, log_scale, full, out, batch_dims, gradient)
    return loss, samples, gradient


def reconstruction_inplace(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    per_sample: bool,
) -> tuple[Tensor, Tensor | None]:
    loss, samples, _ = _outputs.reconstruction(input, reduction, batch_dims, per_sample, False)
    out = _operands.loss(loss, input, reduction, batch_dims, samples)
    _evaluate(name, input, target, weight, log_scale, full, out, batch_dims, input)
    return loss, samples


def reconstruction_backward(
    name: str,
    grad_loss: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    shape = input.shape
    out = _outputs.gradients(wanted, input, target, log_scale)
    gradients = _operands.Gradients(input)
    _C.reconstruction_backward(
        shape,
        batch_dims,
        _operands.precise(input),
        torch.get_num_threads(),
        _LIKELIHOODS[name],
        _operands.upstream(grad_loss, input, reduction, batch_dims),
        _operands.factor(input, reduction, batch_dims),
        _operands.operand(input, shape),
        _operands.operand(target, shape),
        _operands.operand(weight, shape),
        _operands.operand(log_scale, shape),
        gradients.operand(out[0]),
        gradients.operand(out[1]),
        gradients.operand(out[2]),
    )
    gradients.finish()
    return out


def scale_gradient(grad: Tensor, upstream: Tensor) -> None:
    shape = grad.shape
    _C.scale_gradient(
        shape,
        _operands.precise(grad),
        torch.get_num_threads(),
        _operands.operand(grad, shape),
        _operands.operand(upstream, shape),
    )
