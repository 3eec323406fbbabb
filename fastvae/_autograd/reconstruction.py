"""Autograd of the reconstruction losses.

Where only the input needs a gradient and the reduction is a scalar, the gradient is written during forward: the
inputs are read once. It is exact for an upstream gradient of 1; backward multiplies it by any other on the device. A
second backward through a retained graph recomputes it from the inputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastvae import _checks, _ops
from fastvae._autograd._function import differentiable, optional


def _run(inplace: bool, name: str, input: Tensor, *options: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Loss, per-sample sums and the gradient; `options` are those of the op, `grad` last."""
    if inplace:
        loss, per_sample = _ops.reconstruction_inplace(name, input, *options[:-1])
        torch.autograd.graph.increment_version(input)
        return loss, per_sample, input.detach()
    result: tuple[Tensor, Tensor | None, Tensor | None] = _ops.reconstruction(name, input, *options)
    return result


def _save(ctx: Any, args: tuple[Any, ...], outputs: tuple[Tensor, Tensor | None, Tensor | None]) -> None:
    inplace, name, input, target, weight, log_scale, full, reduction, batch_dims, _, grad = args
    ctx.inplace, ctx.name, ctx.options = inplace, name, (full, reduction, batch_dims)
    ctx.grad = outputs[2] if grad else None
    ctx.save_for_backward(None if inplace else input, target, weight, log_scale)
    ctx.set_materialize_grads(False)
    constants = [output for output in outputs[1:] if output is not None]
    if constants:
        ctx.mark_non_differentiable(*constants)


def _backward(
    ctx: Any, saved: tuple[Tensor, ...], grad_loss: Tensor | None, *_: Tensor | None
) -> tuple[Tensor | None, ...]:
    wanted = (ctx.needs_input_grad[2], ctx.needs_input_grad[3], ctx.needs_input_grad[5])
    gradients: tuple[Tensor | None, ...]
    written, ctx.grad = ctx.grad, None
    if grad_loss is None:
        gradients = (None, None, None)
    elif written is not None:
        _ops.scale_gradient(written, grad_loss)
        gradients = (written, None, None)
    elif ctx.inplace:
        raise RuntimeError(
            f"{ctx.name}: second backward with inplace=True, whose first one used up the input; takes inplace=False"
        )
    else:
        results = _ops.reconstruction_backward(ctx.name, grad_loss, *saved, *ctx.options, wanted)
        gradients = tuple(map(optional, results, wanted))
    grad_input, grad_target, grad_log_scale = gradients
    return (None, None, grad_input, grad_target, None, grad_log_scale, None, None, None, None, None)


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
    needed = torch.is_grad_enabled() and input.requires_grad
    alone = not (target.requires_grad or (log_scale is not None and log_scale.requires_grad))
    scalar = reduction not in ("none", "sample")
    if inplace:
        _checks.overwritable("input", input, reduction, scalar, alone)
    early = needed and alone and scalar and not _transformed()
    overwrite = inplace and early
    # A float16 gradient written before a loss scale reaches it has lost its small values.
    early = overwrite or (early and input.dtype != torch.float16)
    loss, samples, _ = _apply(
        overwrite, name, input, target, weight, log_scale, full, reduction, batch_dims, per_sample, early
    )
    return loss, samples


def _transformed() -> bool:
    """Under torch.compile and functorch a gradient kept between the passes would be one more saved activation."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
