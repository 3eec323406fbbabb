"""Autograd of `reparameterize_kl` and of its halves: backward regenerates eps from the seed."""

from __future__ import annotations

from torch import Tensor

from fastvae import _ops
from fastvae._autograd._function import Context, Op
from fastvae._options import Packing, PosteriorOptions

Saved = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
PackedSaved = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]


class _Context(Context):
    saved_tensors: Saved
    options: PosteriorOptions
    has_z: bool
    has_kl: bool


class ReparameterizeKl(Op, name="reparameterize_kl"):
    """(z, kl): no z without eps or seed, no kl without a reduction."""

    @staticmethod
    def forward(
        mu: Tensor,
        scale: Tensor,
        prior_mu: Tensor | None,
        prior_scale: Tensor | None,
        eps: Tensor | None,
        seed: Tensor | None,
        options: PosteriorOptions,
    ) -> tuple[Tensor | None, Tensor | None]:
        return _ops.reparameterize_kl(mu, scale, prior_mu, prior_scale, eps, seed, options)

    @staticmethod
    def setup_context(
        ctx: _Context,
        inputs: tuple[*Saved, PosteriorOptions],
        output: tuple[Tensor | None, Tensor | None],
    ) -> None:
        mu, scale, prior_mu, prior_scale, eps, seed, options = inputs
        ctx.save_for_backward(mu, scale, prior_mu, prior_scale, eps, seed)
        ctx.set_materialize_grads(False)
        ctx.options = options
        ctx.has_z = eps is not None or seed is not None
        ctx.has_kl = options.reduction is not None
        # Outside of plain eager mode an absent output is an empty tensor.
        z, kl = output
        if not ctx.has_z and z is not None:
            ctx.mark_non_differentiable(z)
        if not ctx.has_kl and kl is not None:
            ctx.mark_non_differentiable(kl)

    @staticmethod
    def backward(ctx: _Context, grad_z: Tensor | None, grad_kl: Tensor | None) -> tuple[Tensor | None, ...]:
        # AOTAutograd fills in zeros for the gradient of an output that has none.
        grad_z, grad_kl = grad_z if ctx.has_z else None, grad_kl if ctx.has_kl else None
        if grad_z is None and grad_kl is None:
            return (None,) * 7
        mu, scale, prior_mu, prior_scale, eps, seed = ctx.saved_tensors
        of_mu, of_scale, of_prior_mu, of_prior_scale, *_ = ctx.needs_input_grad
        wanted = of_mu, of_scale, of_prior_mu, of_prior_scale
        gradients = _ops.reparameterize_kl_backward(
            grad_z, grad_kl, mu, scale, prior_mu, prior_scale, eps, seed, ctx.options, wanted
        )
        return (*gradients, None, None, None)


class _PackedContext(Context):
    saved_tensors: PackedSaved
    packing: Packing
    options: PosteriorOptions


class ReparameterizeKlPacked(Op, name="reparameterize_kl_packed"):
    """(z, kl) of mu and scale in one tensor, whose gradient comes back as one tensor, too."""

    @staticmethod
    def forward(
        moments: Tensor,
        prior_mu: Tensor | None,
        prior_scale: Tensor | None,
        eps: Tensor | None,
        seed: Tensor | None,
        packing: Packing,
        options: PosteriorOptions,
    ) -> tuple[Tensor | None, Tensor | None]:
        return _ops.reparameterize_kl_packed(moments, prior_mu, prior_scale, eps, seed, packing, options)

    @staticmethod
    def setup_context(
        ctx: _PackedContext,
        inputs: tuple[*PackedSaved, Packing, PosteriorOptions],
        output: tuple[Tensor | None, Tensor | None],
    ) -> None:
        moments, prior_mu, prior_scale, eps, seed, ctx.packing, ctx.options = inputs
        ctx.save_for_backward(moments, prior_mu, prior_scale, eps, seed)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: _PackedContext, grad_z: Tensor | None, grad_kl: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_z is None and grad_kl is None:
            return (None,) * 7
        moments, prior_mu, prior_scale, eps, seed = ctx.saved_tensors
        of_moments, of_prior_mu, of_prior_scale, *_ = ctx.needs_input_grad
        wanted = of_moments, of_prior_mu, of_prior_scale
        gradients = _ops.reparameterize_kl_packed_backward(
            grad_z, grad_kl, moments, prior_mu, prior_scale, eps, seed, ctx.packing, ctx.options, wanted
        )
        return (*gradients, None, None, None, None)
