"""Autograd of the negative binomial likelihood.

Where the reduction is a scalar, its gradients are written during forward: see `early.py`.
"""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks, _ops
from fastvae._autograd import early as early_gradients
from fastvae._autograd._function import Context, Op
from fastvae._options import NegativeBinomialOptions

Saved = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]
Outputs = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
_OPERANDS = 8


class _Context(Context):
    saved_tensors: Saved
    options: NegativeBinomialOptions
    # Those of mean, inverse_dispersion and zero_inflation_logits, until a backward pass has taken them.
    written: tuple[Tensor | None, ...]


class NegativeBinomialNll(Op, name="negative_binomial_nll"):
    """(loss, sums of each sample, gradients of the three operands that have one): None for what is not asked for."""

    @staticmethod
    def forward(
        mean: Tensor,
        target: Tensor,
        inverse_dispersion: Tensor,
        zero_inflation_logits: Tensor | None,
        weight: Tensor | None,
        options: NegativeBinomialOptions,
        per_sample: bool,
        grad: tuple[bool, bool, bool],
    ) -> Outputs:
        return _ops.negative_binomial_nll(
            mean, target, inverse_dispersion, zero_inflation_logits, weight, options, per_sample, grad
        )

    @staticmethod
    def setup_context(
        ctx: _Context,
        inputs: tuple[*Saved, NegativeBinomialOptions, bool, tuple[bool, bool, bool]],
        output: Outputs,
    ) -> None:
        *saved, ctx.options, _, grad = inputs
        _, samples, *gradients = output
        ctx.written = tuple(value if wanted else None for value, wanted in zip(gradients, grad, strict=True))
        ctx.save_for_backward(*saved)
        ctx.set_materialize_grads(False)
        constant = [value for value in (samples, *gradients) if value is not None]
        if constant:
            ctx.mark_non_differentiable(*constant)

    @staticmethod
    def backward(ctx: _Context, grad_loss: Tensor | None, *_constant: Tensor | None) -> tuple[Tensor | None, ...]:
        written, ctx.written = ctx.written, (None, None, None)
        if grad_loss is None:
            return (None,) * _OPERANDS
        if any(gradient is not None for gradient in written):
            return _placed(*early_gradients.scaled(written, grad_loss))
        of_mean, _, of_dispersion, of_logits, *_ = ctx.needs_input_grad
        wanted = of_mean, of_dispersion, of_logits
        return _placed(*_ops.negative_binomial_nll_backward(grad_loss, *ctx.saved_tensors, ctx.options, wanted))


def _placed(
    of_mean: Tensor | None, of_dispersion: Tensor | None, of_logits: Tensor | None
) -> tuple[Tensor | None, ...]:
    return (of_mean, None, of_dispersion, of_logits, None, None, None, None)


def negative_binomial_nll(
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None,
    weight: Tensor | None,
    options: NegativeBinomialOptions,
) -> Tensor:
    """The loss, reduced."""
    loss, _ = negative_binomial_nll_with_samples(
        mean, target, inverse_dispersion, zero_inflation_logits, weight, options, per_sample=False
    )
    return loss


def negative_binomial_nll_with_samples(
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None,
    weight: Tensor | None,
    options: NegativeBinomialOptions,
    *,
    per_sample: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """The loss and, at no cost, its per-sample sums without gradient; None where the loss is those sums."""
    _checks.fused_device("mean", mean)
    operands = (mean, inverse_dispersion, zero_inflation_logits)
    early = early_gradients.is_worth_it(options.reduction) and not early_gradients.loses_small_values(*operands)
    of_mean, of_dispersion, of_logits = (early and value is not None and value.requires_grad for value in operands)
    loss, samples, *_ = NegativeBinomialNll.apply(
        mean, target, inverse_dispersion, zero_inflation_logits, weight, options, per_sample,
        (of_mean, of_dispersion, of_logits),
    )  # fmt: skip
    return loss, samples
