"""Autograd of the log-densities of the aggregate posterior.

Forward saves the logarithm of each sum over the batch; backward makes a weight of each density with one exponential.
"""

from __future__ import annotations

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import Context, Op
from fastvae._options import MinibatchOptions


class _Context(Context):
    saved_tensors: tuple[Tensor, Tensor, Tensor, Tensor]
    options: MinibatchOptions


class MinibatchLogDensities(Op, name="minibatch_log_densities"):
    """(log q(z), sum_d log q(z_d), sums) of ``[batch, D]``; the sums have no gradient."""

    @staticmethod
    def forward(z: Tensor, mu: Tensor, scale: Tensor, options: MinibatchOptions) -> tuple[Tensor, Tensor, Tensor]:
        return _ops.minibatch_log_densities(z, mu, scale, options)

    @staticmethod
    def setup_context(
        ctx: _Context, inputs: tuple[Tensor, Tensor, Tensor, MinibatchOptions], output: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        z, mu, scale, ctx.options = inputs
        _, _, sums = output
        ctx.mark_non_differentiable(sums)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(z, mu, scale, sums)

    @staticmethod
    def backward(
        ctx: _Context, grad_log_qz: Tensor | None, grad_log_qz_product: Tensor | None, _constant: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if grad_log_qz is None and grad_log_qz_product is None:
            return (None,) * 4
        z, mu, scale, sums = ctx.saved_tensors
        of_z, of_mu, of_scale, _ = ctx.needs_input_grad
        gradients = _ops.minibatch_log_densities_backward(
            grad_log_qz, grad_log_qz_product, z, mu, scale, sums, ctx.options, (of_z, of_mu, of_scale)
        )
        return (*gradients, None)
