"""Autograd of the mixture of discretized logistics.

Where the reduction is a scalar, its gradient is written during forward: see `early.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fastvae import _ops
from fastvae._autograd import early as early_gradients
from fastvae._autograd._function import Context, Op
from fastvae._options import DiscretizedMixtureOptions

Outputs = tuple[Tensor, Tensor | None, Tensor | None]


class Early(NamedTuple):
    """What the forward pass computes beside the loss: the sums of each sample, the gradient."""

    per_sample: bool
    of_params: bool


class _Context(Context):
    saved_tensors: tuple[Tensor, Tensor]
    options: DiscretizedMixtureOptions
    # The gradient that was written during forward, until a backward pass has taken it.
    written: Tensor | None


class DiscretizedLogisticMixtureNll(Op, name="discretized_logistic_mixture_nll"):
    """(loss, sums of each sample, gradient of params): what `early` does not ask for is None."""

    @staticmethod
    def forward(params: Tensor, target: Tensor, options: DiscretizedMixtureOptions, early: Early) -> Outputs:
        return _ops.discretized_logistic_mixture_nll(params, target, options, early.per_sample, early.of_params)

    @staticmethod
    def setup_context(
        ctx: _Context, inputs: tuple[Tensor, Tensor, DiscretizedMixtureOptions, Early], output: Outputs
    ) -> None:
        params, target, ctx.options, early = inputs
        _, samples, to_params = output
        ctx.written = to_params if early.of_params else None
        ctx.save_for_backward(params, target)
        ctx.set_materialize_grads(False)
        constant = [value for value in (samples, to_params) if value is not None]
        if constant:
            ctx.mark_non_differentiable(*constant)

    @staticmethod
    def backward(ctx: _Context, grad_loss: Tensor | None, *_constant: Tensor | None) -> tuple[Tensor | None, ...]:
        written, ctx.written = ctx.written, None
        if grad_loss is None:
            return (None,) * 4
        if written is None:
            params, target = ctx.saved_tensors
            written = _ops.discretized_logistic_mixture_nll_backward(grad_loss, params, target, ctx.options)
        else:
            (written,) = early_gradients.scaled((written,), grad_loss)
        return written, None, None, None


def discretized_logistic_mixture_nll(
    params: Tensor, target: Tensor, options: DiscretizedMixtureOptions, *, per_sample: bool = False
) -> tuple[Tensor, Tensor | None]:
    """The loss and, with `per_sample`, its per-sample sums without gradient; None where the loss is those sums."""
    early = early_gradients.is_worth_it(options.reduction) and not early_gradients.loses_small_values(params)
    early = early and params.requires_grad
    loss, samples, _ = DiscretizedLogisticMixtureNll.apply(params, target, options, Early(per_sample, early))
    return loss, samples
