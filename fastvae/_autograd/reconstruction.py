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
    _, samples, to_input, to_log_scale = outputs
    ctx.written = (to_input if grad[0] else None, to_log_scale if grad[1] else None)
    ctx.save_for_backward(None if ctx.inplace else input, target, weight, log_scale)
    ctx.set_materialize_grads(False)
    constant = [output for output in (samples, to_input, to_log_scale) if output is not None]
    if constant:
        ctx.mark_non_differentiable(*constant)


def _backward(ctx: Any, saved: Saved, grad_loss: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    (to_input, to_log_scale), ctx.written = ctx.written, (None, None)
    if grad_loss is None:
        return (None,) * 7
    if to_input is not None or to_log_scale is not None:
        if _batched(grad_loss):  # several products of the one gradient that was written
            to_input, to_log_scale = (None if g is None else g * grad_loss for g in (to_input, to_log_scale))
            return (None, to_input, None, None, to_log_scale, None, None)
        if to_input is not None:
            _ops.scale_gradient(to_input, grad_loss)
        if to_log_scale is not None:
            _ops.scale_gradient(to_log_scale, grad_loss)
        return (None, to_input, None, None, to_log_scale, None, None)
    if ctx.inplace:
        raise RuntimeError(
            f"{ctx.name}: second backward with inplace=True, whose first one used up the input; takes inplace=False"
        )
    _, of_input, of_target, _, of_log_scale, _, _ = ctx.needs_input_grad
    wanted = (of_input, of_target, of_log_scale)
    gradients = _ops.reconstruction_backward(ctx.name, grad_loss, *saved(), *ctx.options, wanted)
    grad_input, grad_target, grad_log_scale = gradients
    return (None, grad_input, grad_target, None, grad_log_scale, None, None)


def _batched(upstream: Tensor) -> bool:
    """Is it a batch of upstream gradients: vmap's, or that of torch.autograd.grad(is_grads_batched=True)?"""
    return torch._C._are_functorch_transforms_active() or torch._C._functorch.is_legacy_batchedtensor(upstream)


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
    of_input, of_log_scale = input.requires_grad, log_scale is not None and log_scale.requires_grad
    transformed = _transformed()
    scalar = reduction not in ("none", "sample")
    if inplace:
        _checks.overwritable("input", input, reduction, scalar, not (target.requires_grad or of_log_scale))
        if not transformed:
            _checks.written_in_place("input", input, target=target, weight=weight)
    early = scalar and torch.is_grad_enabled() and not target.requires_grad and not transformed
    overwrite = inplace and early and of_input
    # A float16 gradient written before a loss scale reaches it has lost its small values.
    if input.dtype == torch.float16 or (log_scale is not None and log_scale.dtype == torch.float16):
        early = overwrite
    grad = (early and of_input, early and of_log_scale)
    options, wanted = (full, reduction, batch_dims), (per_sample, grad, overwrite)
    loss, samples, *_ = _apply(name, input, target, weight, log_scale, options, wanted)
    return loss, samples


def _transformed() -> bool:
    """Under torch.compile and functorch a gradient kept between the passes would be one more saved activation."""
    return is_dynamo_compiling() or torch._C._are_functorch_transforms_active()
