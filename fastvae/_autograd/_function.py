"""One differentiable op from three functions: run, save, backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.compiler import is_dynamo_compiling

# Gives the saved tensors, at most once.
Saved = Callable[[], tuple[Tensor, ...]]


def _refuse(name: str, derivative: str) -> NoReturn:
    raise NotImplementedError(
        f"{name}: got a {derivative}, which the fused kernels do not have; takes the forward pass inside `with "
        "fastvae.use_backend('reference'):`"
    )


class _NoSecondDerivative(Function):
    """The identity on a gradient; differentiating what it came from, in either direction, raises."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.name = inputs[0]

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        _refuse(ctx.name, "second derivative")

    @staticmethod
    def jvp(ctx: Any, *_: Tensor | None) -> Any:
        _refuse(ctx.name, "second derivative")


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

    Three autograd.Functions come of it: the fast one, the one functorch transforms need (`setup_context` style, 10 us
    slower), and the one Dynamo traces, which knows no `jvp`. Differentiating forward, or the gradient, raises, naming
    the reference backend.
    """

    def backward_once(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        if is_dynamo_compiling() or not (torch.is_grad_enabled() or forward_ad._current_level >= 0):
            return backward(ctx, lambda: ctx.saved_tensors, *grad_outputs)
        saved = ctx.saved_tensors  # once: checkpointing recomputes them for a single reading
        with torch.no_grad():
            gradients = backward(ctx, lambda: saved, *grad_outputs)
        # All of them: only torch knows which has a gradient or a tangent, and under which transform.
        sources = [tensor for tensor in (*grad_outputs, *saved) if tensor is not None]
        once: Callable[..., Tensor] = _NoSecondDerivative.apply
        return tuple(None if gradient is None else once(name, gradient, *sources) for gradient in gradients)

    def jvp(ctx: Any, *_: Tensor | None) -> Any:
        _refuse(name, "forward-mode derivative")

    def forward(ctx: Any, *args: Any) -> Any:
        outputs = run(*args)
        save(ctx, args, outputs)
        return outputs

    compiled: Any = type(name, (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward_once)})
    eager: Any = type(name, (compiled,), {"jvp": staticmethod(jvp)})
    functorch: Any = type(
        name,
        (Function,),
        {
            "forward": staticmethod(run),
            "setup_context": staticmethod(save),
            "backward": staticmethod(backward_once),
            "jvp": staticmethod(jvp),
            "generate_vmap_rule": True,
        },
    )
    # What Function.apply ends in, without its search of the arguments for functorch's wrappers: 2 us a call.
    fast: Callable[..., Any] = super(Function, eager).apply

    def apply(*args: Any) -> Any:
        transformed = torch._C._are_functorch_transforms_active()
        if is_dynamo_compiling():
            if transformed:
                # Dynamo differentiates through the forward pass there, where it finds no gradient: 0. Having raised, it
                # leaves the transform uncompiled.
                raise NotImplementedError(
                    f"{name}: got torch.func inside torch.compile(fullgraph=True); takes fullgraph=False, or the "
                    "forward pass inside `with fastvae.use_backend('reference'):`"
                )
            return compiled.apply(*args)
        return (functorch.apply if transformed else fast)(*args)

    return apply
