"""One differentiable op from three functions: run, save, backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def optional(gradient: Tensor, wanted: bool) -> Tensor | None:
    """An op returns an empty tensor for a gradient nobody asked for; autograd takes None."""
    return gradient if wanted else None


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
        backward: ``backward(ctx, *grad_outputs) -> grad_inputs``, one an argument.

    Two autograd.Functions come of it: the fast one, and the one functorch transforms need (`setup_context` style,
    10 us slower). Differentiating the gradient raises, naming the reference backend.
    """
    message = (
        f"{name}: the fused kernels have no second derivative; use `with fastvae.use_backend('reference'):` around the "
        "forward pass to differentiate twice"
    ).encode()

    def backward_once(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            gradients = backward(ctx, *grad_outputs)
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return gradients
        present = [gradient.detach().requires_grad_() for gradient in gradients if gradient is not None]
        delayed = iter(torch._C._functions.DelayedError(message, len(present))(*present))
        return tuple(None if gradient is None else next(delayed) for gradient in gradients)

    def forward(ctx: Any, *args: Any) -> Any:
        outputs = run(*args)
        save(ctx, args, outputs)
        return outputs

    eager = type(name, (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward_once)})
    functorch = type(
        name,
        (Function,),
        {
            "forward": staticmethod(run),
            "setup_context": staticmethod(save),
            "backward": staticmethod(torch.autograd.function.once_differentiable(backward)),
        },
    )

    def apply(*args: Any) -> Any:
        if torch._C._are_functorch_transforms_active():
            return functorch.apply(*args)  # type: ignore[attr-defined]
        return eager.apply(*args)  # type: ignore[attr-defined]

    return apply
