"""Autograd of the log-density of a mixture of Gaussians."""

from __future__ import annotations

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import Context, Op
from fastvae._options import ScaleForm

Inputs = tuple[Tensor, Tensor, Tensor, Tensor | None]


class _Context(Context):
    saved_tensors: tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor]
    form: ScaleForm


class LogNormalMixture(Op, name="log_normal_mixture"):
    """(log-density, sums) of points ``[batch, D]``; the sums have no gradient."""

    @staticmethod
    def forward(
        z: Tensor, mu: Tensor, scale: Tensor, log_weights: Tensor | None, form: ScaleForm
    ) -> tuple[Tensor, Tensor]:
        return _ops.log_normal_mixture(z, mu, scale, log_weights, form)

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[*Inputs, ScaleForm], output: tuple[Tensor, Tensor]) -> None:
        z, mu, scale, log_weights, ctx.form = inputs
        _, sums = output
        ctx.mark_non_differentiable(sums)
        ctx.save_for_backward(z, mu, scale, log_weights, sums)

    @staticmethod
    def backward(ctx: _Context, grad_log_prob: Tensor, _constant: Tensor) -> tuple[Tensor | None, ...]:
        z, mu, scale, log_weights, sums = ctx.saved_tensors
        of_z, of_mu, of_scale, of_log_weights, _ = ctx.needs_input_grad
        gradients = _ops.log_normal_mixture_backward(
            grad_log_prob, z, mu, scale, log_weights, sums, ctx.form, (of_z, of_mu, of_scale, of_log_weights)
        )
        return (*gradients, None)
