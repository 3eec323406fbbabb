"""What an op needs to be differentiable: the base of its class, which has the three methods of an autograd.Function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.compiler import is_dynamo_compiling

if TYPE_CHECKING:
    P = ParamSpec("P")
    R_co = TypeVar("R_co", covariant=True)

    class _HasForward(Protocol[P, R_co]):
        @staticmethod
        def forward(*args: P.args, **kwargs: P.kwargs) -> R_co: ...


class Context(Protocol):
    """The `ctx` of an autograd.Function. Each op declares what it saves, and what else it keeps there."""

    saved_tensors: tuple[Tensor | None, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...
    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...
    def set_materialize_grads(self, value: bool) -> None: ...


def _refuse(name: str, derivative: str) -> NoReturn:
    raise NotImplementedError(
        f"{name}: got a {derivative}, which the fused kernels do not have; takes the forward pass inside `with "
        "fastvae.use_backend('reference'):`"
    )


class _Named(Protocol):
    name: str


class _NoSecondDerivative(Function):
    """The identity on a gradient; differentiating what it came from, in either direction, raises."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: _Named, inputs: tuple[str, *tuple[Tensor, ...]], output: Tensor) -> None:
        ctx.name, *_ = inputs

    @staticmethod
    def backward(ctx: _Named, *_: Tensor) -> NoReturn:
        _refuse(ctx.name, "second derivative")

    @staticmethod
    def jvp(ctx: _Named, *_: Tensor | None) -> NoReturn:
        _refuse(ctx.name, "second derivative")


class _AlreadyRead:
    """A context whose saved tensors are at hand."""

    def __init__(self, ctx: Context, saved_tensors: tuple[Tensor | None, ...]) -> None:
        self.__dict__.update(_ctx=ctx, saved_tensors=saved_tensors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._ctx, name, value)


class Op:
    """A differentiable op: subclass it as ``class MyOp(Op, name="my_op")``, call ``MyOp.apply``.

    A subclass has `forward`, `setup_context` and `backward` as `torch.autograd.Function` wants them, `backward` without
    a second derivative. Three Functions are made of it: the fast one, the one that functorch transforms need
    (`setup_context` apart from `forward`, 10 us slower), and the one that Dynamo traces, which knows no `jvp`.
    Differentiating forward, or the gradient, raises an error that names the reference backend.
    """

    name: str

    if TYPE_CHECKING:

        @classmethod
        def apply(cls: type[_HasForward[P, R_co]], *args: P.args, **kwargs: P.kwargs) -> R_co: ...

        # Of a subclass, with arguments of its own.
        forward: Callable[..., object]
        setup_context: Callable[..., None]
        backward: Callable[..., tuple[Tensor | None, ...]]

    def __init_subclass__(cls, *, name: str) -> None:
        # Read once: an attribute of a class is looked up at every call.
        run, save, differentiate = cls.forward, cls.setup_context, cls.backward

        def forward(ctx: Context, *inputs: object) -> object:
            outputs = run(*inputs)
            save(ctx, inputs, outputs)
            return outputs

        def backward(ctx: Context, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
            if is_dynamo_compiling() or not (torch.is_grad_enabled() or forward_ad._current_level >= 0):
                return differentiate(ctx, *grad_outputs)
            saved = ctx.saved_tensors  # once: checkpointing recomputes them for a single reading
            with torch.no_grad():
                gradients = differentiate(_AlreadyRead(ctx, saved), *grad_outputs)
            # All of them: only torch knows which has a gradient or a tangent, and under which transform.
            sources = [tensor for tensor in (*grad_outputs, *saved) if tensor is not None]
            once: Callable[..., Tensor] = _NoSecondDerivative.apply
            return tuple(None if gradient is None else once(name, gradient, *sources) for gradient in gradients)

        def jvp(ctx: Context, *_: Tensor | None) -> NoReturn:
            _refuse(name, "forward-mode derivative")

        def function(base: type, **methods: Callable[..., object]) -> Any:
            return type(name, (base,), {key: staticmethod(method) for key, method in methods.items()})

        traced = function(Function, forward=forward, backward=backward)
        eager = function(traced, jvp=jvp)
        transformed = function(Function, forward=run, setup_context=save, backward=backward, jvp=jvp)
        transformed.generate_vmap_rule = True
        # What Function.apply ends in, without its search of the arguments for functorch's wrappers: 2 us a call.
        fast: Callable[..., object] = super(Function, eager).apply  # type: ignore[misc]

        def apply(*inputs: object) -> object:
            inside_transform = torch._C._are_functorch_transforms_active()
            if is_dynamo_compiling():
                if inside_transform:
                    # Dynamo differentiates through the forward pass there, where it finds no gradient: 0. Having
                    # raised, it leaves the transform uncompiled.
                    raise NotImplementedError(
                        f"{name}: got torch.func inside torch.compile(fullgraph=True); takes fullgraph=False, or the "
                        "forward pass inside `with fastvae.use_backend('reference'):`"
                    )
                return traced.apply(*inputs)
            return (transformed.apply if inside_transform else fast)(*inputs)

        cls.name = name
        cls.apply = staticmethod(apply)  # type: ignore[method-assign, assignment, misc]
