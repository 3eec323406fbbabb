"""Autograd of the Gaussian log-density."""

from __future__ import annotations

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import Context, Op
from fastvae._options import DensityOptions

Saved = tuple[Tensor, Tensor | None, Tensor | None]


class _Context(Context):
    saved_tensors: Saved
    options: DensityOptions


class LogNormal(Op, name="log_normal"):
    """log N(z; mu, sigma^2), reduced; the standard normal without mu and scale."""

    @staticmethod
    def forward(z: Tensor, mu: Tensor | None, scale: Tensor | None, options: DensityOptions) -> Tensor:
        return _ops.log_normal(z, mu, scale, options)

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[*Saved, DensityOptions], output: Tensor) -> None:
        z, mu, scale, ctx.options = inputs
        ctx.save_for_backward(z, mu, scale)

    @staticmethod
    def backward(ctx: _Context, grad_log_prob: Tensor) -> tuple[Tensor | None, ...]:
        z, mu, scale = ctx.saved_tensors
        of_z, of_mu, of_scale, _ = ctx.needs_input_grad
        gradients = _ops.log_normal_backward(grad_log_prob, z, mu, scale, ctx.options, (of_z, of_mu, of_scale))
        return (*gradients, None)
