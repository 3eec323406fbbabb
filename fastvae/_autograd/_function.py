"""One differentiable op from three functions: run, save, backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.compiler import is_dynamo_compiling

# Gives the saved tensors, at most once.
Saved = Callable[[], tuple[Tensor, ...]]


class _NoSecondDerivative(Function):
    """The identity on a gradient; differentiating it raises."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.name = inputs[0]

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise RuntimeError(
            f"{ctx.name}: the fused kernels have no second derivative; to differentiate twice, run the forward pass "
            "inside `with fastvae.use_backend('reference'):`"
        )


def differentiable(
    name: str,
    run: Callable[..., Any],
    save: Callable[[Any, tuple[Any, ...], Any], None],
    backward: Callable[..., tuple[Tensor | None, ...]],
) -> Callable[..., Any]:
    """The differentiable form of an op.

    Args:
        name: the op's public name, for error messages.
        run: the forward computation, ``run(*args) -> outputs``.
        save: keeps on ``ctx`` what backward needs, ``save(ctx, args, outputs)``.
        backward: ``backward(ctx, saved, *grad_outputs) -> grad_inputs``, one an argument; ``saved()``, called at most
            once, gives the saved tensors.

    Two autograd.Functions come of it: the fast one, and the one functorch transforms need (`setup_context` style,
    10 us slower). Differentiating the gradient raises, naming the reference backend.
    """

    def backward_once(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        if is_dynamo_compiling() or not torch.is_grad_enabled():
            return backward(ctx, lambda: ctx.saved_tensors, *grad_outputs)
        saved = ctx.saved_tensors  # once: checkpointing recomputes them for a single reading
        with torch.no_grad():
            gradients = backward(ctx, lambda: saved, *grad_outputs)
        sources = [tensor for tensor in (*grad_outputs, *saved) if tensor is not None and tensor.requires_grad]
        if not sources:
            return gradients
        once: Callable[..., Tensor] = _NoSecondDerivative.apply
        return tuple(None if gradient is None else once(name, gradient, *sources) for gradient in gradients)

    def forward(ctx: Any, *args: Any) -> Any:
        outputs = run(*args)
        save(ctx, args, outputs)
        return outputs

    eager: Any = type(name, (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward_once)})
    functorch: Any = type(
        name,
        (Function,),
        {
            "forward": staticmethod(run),
            "setup_context": staticmethod(save),
            "backward": staticmethod(backward_once),
            "generate_vmap_rule": True,
        },
    )
    # What Function.apply ends in, without its search of the arguments for functorch's wrappers: 2 us a call.
    fast: Callable[..., Any] = super(Function, eager).apply

    def apply(*args: Any) -> Any:
        if is_dynamo_compiling():
            return eager.apply(*args)
        return (functorch.apply if torch._C._are_functorch_transforms_active() else fast)(*args)

    return apply
