"""Autograd of the reconstruction losses.

Where the target needs no gradient and the reduction is a scalar, the gradients are written during forward: the inputs
are read once. They are exact for an upstream gradient of 1; backward multiplies them by any other on the device. A
second backward through a retained graph recomputes them from the inputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastvae import _checks, _ops
from fastvae._autograd._function import Saved, differentiable

Results = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]


def _run(name: str, input: Tensor, *args: Any) -> Results:
    """Loss, per-sample sums, gradients of input and log_scale. Behind the tensors: the options, and what is wanted."""
    *operands, options, (per_sample, grad, inplace) = args
    if inplace:
        loss, samples = _ops.reconstruction_inplace(name, input, *operands, *options, per_sample)
        torch.autograd.graph.increment_version(input)
        return loss, samples, input.detach(), None
    results: Results = _ops.reconstruction(name, input, *operands, *options, per_sample, grad)
    return results


def _save(ctx: Any, args: tuple[Any, ...], outputs: Results) -> None:
    ctx.name, input, target, weight, log_scale, ctx.options, (_, grad, ctx.inplace) = args
    _, *constant = outputs
    ctx.written = [gradient if early else None for gradient, early in zip(constant[1:], grad, strict=True)]
    ctx.save_for_backward(None if ctx.inplace else input, target, weight, log_scale)
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*(output for output in constant if output is not None))


def _backward(ctx: Any, saved: Saved, grad_loss: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    written, ctx.written = ctx.written, (None, None)
    if grad_loss is None:
        return (None,) * 7
    early = [gradient for gradient in written if gradient is not None]
    if early:
        for gradient in early:
            _ops.scale_gradient(gradient, grad_loss)
        return (None, written[0], None, None, written[1], None, None)
    if ctx.inplace:
        raise RuntimeError(
            f"{ctx.name}: second backward with inplace=True, whose first one used up the input; takes inplace=False"
        )
    _, of_input, of_target, _, of_log_scale, _, _ = ctx.needs_input_grad
    wanted = (of_input, of_target, of_log_scale)
    gradients = _ops.reconstruction_backward(ctx.name, grad_loss, *saved(), *ctx.options, wanted)
    grad_input, grad_target, grad_log_scale = gradients
    return (None, grad_input, grad_target, None, grad_log_scale, None, None)


_apply = differentiable("reconstruction", _run, _save, _backward)


def reconstruction(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    inplace: bool,
) -> Tensor:
    """The loss `name`, reduced."""
    loss, _ = reconstruction_with_samples(
        name, input, target, weight, log_scale, full, reduction, batch_dims, inplace, False
    )
    return loss


def reconstruction_with_samples(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    full: bool,
    reduction: str,
    batch_dims: int,
    inplace: bool,
    per_sample: bool = True,
) -> tuple[Tensor, Tensor]:
    """The loss and, at no cost, its per-sample sums without gradient; absent where the loss is they."""
    _checks.fused_device("input", input)
    learned = [tensor is not None and tensor.requires_grad for tensor in (input, log_scale)]
    scalar = reduction not in ("none", "sample")
    if inplace:
        _checks.overwritable("input", input, reduction, scalar, not (target.requires_grad or learned[1]))
    early = torch.is_grad_enabled() and scalar and not target.requires_grad and not _transformed()
    overwrite = inplace and early and learned[0]
    # A float16 gradient written before a loss scale reaches it has lost its small values.
    halves = input.dtype == torch.float16 or (log_scale is not None and log_scale.dtype == torch.float16)
    early = overwrite or (early and not halves)
    grad = tuple(early and needed for needed in learned)
    options, wanted = (full, reduction, batch_dims), (per_sample, grad, overwrite)
    loss, samples, *_ = _apply(name, input, target, weight, log_scale, options, wanted)
    return loss, samples


def _transformed() -> bool:
    """Under torch.compile and functorch a gradient kept between the passes would be one more saved activation."""
    return is_dynamo_compiling() or torch._C._are_functorch_transforms_active()
