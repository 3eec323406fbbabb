"""Autograd of the reconstruction losses.

Where the target needs no gradient and the reduction is a scalar, the gradients are written during forward: the inputs
are read once. They are exact for an upstream gradient of 1; backward multiplies them by any other on the device. A
second backward through a retained graph recomputes them from the inputs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastvae import _checks, _ops
from fastvae._autograd._function import Context, Op
from fastvae._options import ReconstructionOptions

Saved = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
Outputs = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]


class Early(NamedTuple):
    """What the forward pass computes beside the loss.

    Attributes:
        per_sample: the sums of each sample.
        of_input, of_log_scale: the gradients.
        overwrite: the gradient of the input is written over it.
    """

    per_sample: bool
    of_input: bool
    of_log_scale: bool
    overwrite: bool


class _Context(Context):
    saved_tensors: Saved
    options: ReconstructionOptions
    overwritten: bool
    # The gradients that were written during forward, until a backward pass has taken them.
    written: tuple[Tensor | None, Tensor | None]


class Reconstruction(Op, name="reconstruction"):
    """(loss, sums of each sample, gradients of input and of log_scale): what `early` does not ask for is None."""

    @staticmethod
    def forward(
        input: Tensor,
        target: Tensor,
        weight: Tensor | None,
        log_scale: Tensor | None,
        options: ReconstructionOptions,
        early: Early,
    ) -> Outputs:
        if early.overwrite:
            loss, samples = _ops.reconstruction_inplace(input, target, weight, log_scale, options, early.per_sample)
            torch.autograd.graph.increment_version(input)
            return loss, samples, input.detach(), None
        grad = early.of_input, early.of_log_scale
        return _ops.reconstruction(input, target, weight, log_scale, options, early.per_sample, grad)

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[*Saved, ReconstructionOptions, Early], output: Outputs) -> None:
        input, target, weight, log_scale, ctx.options, early = inputs
        _, samples, to_input, to_log_scale = output
        ctx.overwritten = early.overwrite
        ctx.written = (to_input if early.of_input else None, to_log_scale if early.of_log_scale else None)
        ctx.save_for_backward(None if early.overwrite else input, target, weight, log_scale)
        ctx.set_materialize_grads(False)
        constant = [value for value in (samples, to_input, to_log_scale) if value is not None]
        if constant:
            ctx.mark_non_differentiable(*constant)

    @staticmethod
    def backward(ctx: _Context, grad_loss: Tensor | None, *_constant: Tensor | None) -> tuple[Tensor | None, ...]:
        (to_input, to_log_scale), ctx.written = ctx.written, (None, None)
        if grad_loss is None:
            return (None,) * 6
        if to_input is not None or to_log_scale is not None:
            if batched(grad_loss):  # a product for each upstream gradient
                to_input, to_log_scale = (None if g is None else g * grad_loss for g in (to_input, to_log_scale))
                return (to_input, None, None, to_log_scale, None, None)
            if to_input is not None:
                _ops.scale_gradient(to_input, grad_loss)
            if to_log_scale is not None:
                _ops.scale_gradient(to_log_scale, grad_loss)
            return (to_input, None, None, to_log_scale, None, None)
        if ctx.overwritten:
            raise RuntimeError(
                f"{ctx.options.loss}: second backward with inplace=True, whose first one used up the input; takes "
                "inplace=False"
            )
        input, target, weight, log_scale = ctx.saved_tensors
        of_input, of_target, _, of_log_scale, _, _ = ctx.needs_input_grad
        wanted = of_input, of_target, of_log_scale
        grad_input, grad_target, grad_log_scale = _ops.reconstruction_backward(
            grad_loss, input, target, weight, log_scale, ctx.options, wanted
        )
        return (grad_input, grad_target, None, grad_log_scale, None, None)


def batched(upstream: Tensor) -> bool:
    """Is it a batch of upstream gradients: vmap's, or that of torch.autograd.grad(is_grads_batched=True)?"""
    return torch._C._are_functorch_transforms_active() or torch._C._functorch.is_legacy_batchedtensor(upstream)


def reconstruction(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    options: ReconstructionOptions,
    *,
    inplace: bool = False,
) -> Tensor:
    """The loss, reduced."""
    loss, _ = reconstruction_with_samples(input, target, weight, log_scale, options, inplace=inplace, per_sample=False)
    return loss


def reconstruction_with_samples(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    options: ReconstructionOptions,
    *,
    inplace: bool = False,
    per_sample: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """The loss and, at no cost, its per-sample sums without gradient; None where the loss is those sums."""
    _checks.fused_device("input", input)
    of_input, of_log_scale = input.requires_grad, log_scale is not None and log_scale.requires_grad
    in_transform = transformed()
    scalar = options.reduction not in ("none", "sample")
    if inplace:
        _checks.overwritable("input", input, options.reduction, scalar, not (target.requires_grad or of_log_scale))
        if not in_transform:
            _checks.written_in_place("input", input, target=target, weight=weight)
    early = scalar and torch.is_grad_enabled() and not target.requires_grad and not in_transform
    overwrite = inplace and early and of_input
    # A float16 gradient written before a loss scale reaches it has lost its small values.
    if input.dtype == torch.float16 or (log_scale is not None and log_scale.dtype == torch.float16):
        early = overwrite
    beside = Early(per_sample, early and of_input, early and of_log_scale, overwrite)
    loss, samples, *_ = Reconstruction.apply(input, target, weight, log_scale, options, beside)
    return loss, samples


def transformed() -> bool:
    """Under torch.compile and functorch a gradient kept between the passes would be one more saved activation."""
    return is_dynamo_compiling() or torch._C._are_functorch_transforms_active()
