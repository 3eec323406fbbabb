"""Autograd of the reconstruction losses.

Where the target needs no gradient and the reduction is a scalar, the gradients are written during forward: see
`early.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fastvae import _checks, _ops
from fastvae._autograd import early as early_gradients
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
            to_input, to_log_scale = early_gradients.scaled((to_input, to_log_scale), grad_loss)
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
    if inplace:
        scalar = options.reduction not in ("none", "sample")
        _checks.overwritable("input", input, options.reduction, scalar, not (target.requires_grad or of_log_scale))
        if not early_gradients.in_transform():
            _checks.written_in_place("input", input, target=target, weight=weight)
    early = early_gradients.is_worth_it(options.reduction) and not target.requires_grad
    overwrite = inplace and early and of_input
    if early_gradients.loses_small_values(input, log_scale):
        early = overwrite
    beside = Early(per_sample, early and of_input, early and of_log_scale, overwrite)
    loss, samples, *_ = Reconstruction.apply(input, target, weight, log_scale, options, beside)
    return loss, samples
