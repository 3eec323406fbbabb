"""Every op: its arguments, the outputs it allocates, and its rule for `torch.func.vmap`.

A kernel of the same name and arguments fills the outputs in: `fastvae._C.<op>` (`csrc/bindings.cpp`) on CPUs,
`fastvae._triton.<op>` on GPUs. Tensors come first, options behind them. `wanted` says which gradients to compute.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae import _outputs, _vmap
from fastvae._layout import unpack
from fastvae._library import op
from fastvae._options import (
    DensityOptions,
    DiscretizedMixtureOptions,
    MinibatchOptions,
    NegativeBinomialOptions,
    Packing,
    PosteriorOptions,
    ReconstructionOptions,
    ScaleForm,
)
from fastvae._schema import Gradients


def draw_seed(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One int64 from torch's generator for the device of `like`, left on that device."""
    return torch.randint(-(2**63), 2**63 - 1, (1,), dtype=torch.int64, device=like.device, generator=generator)


@op(everywhere=draw_seed, tags=(torch.Tag.nondeterministic_seeded,))
def seed(like: Tensor) -> Tensor:
    """`draw_seed` as one op, which torch.compile neither repeats nor removes."""
    return like.new_empty(1, dtype=torch.int64)


@op(vmap=_vmap.reparameterize_kl)
def reparameterize_kl(
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    options: PosteriorOptions,
) -> tuple[Tensor | None, Tensor | None]:
    """(z, kl): no z without eps or seed, no kl without a reduction."""
    return _outputs.reparameterize_kl(mu, eps, seed, options)


@op(vmap=_vmap.reparameterize_kl_backward)
def reparameterize_kl_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    options: PosteriorOptions,
    wanted: tuple[bool, bool, bool, bool],
) -> Gradients:
    """Of mu, scale, prior_mu and prior_scale."""
    return _outputs.gradients(wanted, mu, scale, prior_mu, prior_scale)


@op(vmap=_vmap.reparameterize_kl_packed)
def reparameterize_kl_packed(
    moments: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    packing: Packing,
    options: PosteriorOptions,
) -> tuple[Tensor | None, Tensor | None]:
    """(z, kl) of mu and scale in one tensor."""
    mu, _ = unpack(moments, *packing)
    return _outputs.reparameterize_kl(mu, eps, seed, options)


@op(vmap=_vmap.reparameterize_kl_packed_backward)
def reparameterize_kl_packed_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    moments: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    packing: Packing,
    options: PosteriorOptions,
    wanted: tuple[bool, bool, bool],
) -> Gradients:
    """Of moments, packed as they are, prior_mu and prior_scale."""
    return _outputs.gradients(wanted, moments, prior_mu, prior_scale)


@op(vmap=_vmap.reconstruction)
def reconstruction(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    options: ReconstructionOptions,
    per_sample: bool,
    grad: tuple[bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """(loss, sums of each sample, gradients of input and of log_scale for an upstream gradient of 1)."""
    return _outputs.reconstruction(input, log_scale, options, per_sample, grad)


@op(mutates=("input",))
def reconstruction_inplace(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    options: ReconstructionOptions,
    per_sample: bool,
) -> tuple[Tensor, Tensor | None]:
    """(loss, sums of each sample); the gradient of the input is written over it."""
    return _outputs.reconstruction(input, None, options, per_sample, (False, False))[:2]


@op(vmap=_vmap.reconstruction_backward)
def reconstruction_backward(
    grad_loss: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    log_scale: Tensor | None,
    options: ReconstructionOptions,
    wanted: tuple[bool, bool, bool],
) -> Gradients:
    """Of input, target and log_scale."""
    return _outputs.gradients(wanted, input, target, log_scale)


@op(mutates=("first", "second", "third"))
def scale_gradients(first: Tensor, second: Tensor | None, third: Tensor | None, upstream: Tensor) -> None:
    """Multiplies gradients by the scalar `upstream`, read on the device; an upstream of 1 touches no memory.

    Where there are several, each is dense.
    """


@op(vmap=_vmap.log_normal)
def log_normal(z: Tensor, mu: Tensor | None, scale: Tensor | None, options: DensityOptions) -> Tensor:
    """log N(z; mu, sigma^2), reduced; the standard normal without mu and scale."""
    return _outputs.loss(z, options.reduction, options.batch_dims)


@op(vmap=_vmap.log_normal_backward)
def log_normal_backward(
    grad_log_prob: Tensor,
    z: Tensor,
    mu: Tensor | None,
    scale: Tensor | None,
    options: DensityOptions,
    wanted: tuple[bool, bool, bool],
) -> Gradients:
    """Of z, mu and scale."""
    return _outputs.gradients(wanted, z, mu, scale)


@op(vmap=_vmap.row_by_row)
def minibatch_log_densities(
    z: Tensor, mu: Tensor, scale: Tensor, options: MinibatchOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """(log q(z), sum_d log q(z_d), sums) of ``[batch, D]``; the sums are for backward of the same backend."""
    return _outputs.minibatch_log_densities(z)


@op(vmap=_vmap.row_by_row)
def minibatch_log_densities_backward(
    grad_log_qz: Tensor | None,
    grad_log_qz_product: Tensor | None,
    z: Tensor,
    mu: Tensor,
    scale: Tensor,
    sums: Tensor,
    options: MinibatchOptions,
    wanted: tuple[bool, bool, bool],
) -> Gradients:
    """Of z, mu and scale."""
    return _outputs.gradients(wanted, z, mu, scale)


@op(vmap=_vmap.row_by_row)
def log_normal_mixture(
    z: Tensor, mu: Tensor, scale: Tensor, log_weights: Tensor | None, form: ScaleForm
) -> tuple[Tensor, Tensor]:
    """(log-density, sums) of points ``[batch, D]`` under components ``[K, D]``; the sums are for backward."""
    return _outputs.log_normal_mixture(z)


@op(vmap=_vmap.row_by_row)
def log_normal_mixture_backward(
    grad_log_prob: Tensor,
    z: Tensor,
    mu: Tensor,
    scale: Tensor,
    log_weights: Tensor | None,
    sums: Tensor,
    form: ScaleForm,
    wanted: tuple[bool, bool, bool, bool],
) -> Gradients:
    """Of z, mu, scale and log_weights."""
    return _outputs.gradients(wanted, z, mu, scale, log_weights)


@op(vmap=_vmap.negative_binomial_nll)
def negative_binomial_nll(
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None,
    weight: Tensor | None,
    options: NegativeBinomialOptions,
    per_sample: bool,
    grad: tuple[bool, bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """(loss, sums of each sample, gradients of mean, dispersion and logits for an upstream gradient of 1)."""
    return _outputs.negative_binomial_nll(mean, inverse_dispersion, zero_inflation_logits, options, per_sample, grad)


@op(vmap=_vmap.negative_binomial_nll_backward)
def negative_binomial_nll_backward(
    grad_loss: Tensor,
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None,
    weight: Tensor | None,
    options: NegativeBinomialOptions,
    wanted: tuple[bool, bool, bool],
) -> Gradients:
    """Of mean, inverse_dispersion and zero_inflation_logits."""
    return _outputs.gradients(wanted, mean, inverse_dispersion, zero_inflation_logits)


@op(vmap=_vmap.discretized_logistic_mixture_nll)
def discretized_logistic_mixture_nll(
    params: Tensor, target: Tensor, options: DiscretizedMixtureOptions, per_sample: bool, grad: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(loss, sums of each sample, gradient of params for an upstream gradient of 1)."""
    return _outputs.discretized_logistic_mixture_nll(params, options, per_sample, grad)


@op(vmap=_vmap.discretized_logistic_mixture_nll_backward)
def discretized_logistic_mixture_nll_backward(
    grad_loss: Tensor, params: Tensor, target: Tensor, options: DiscretizedMixtureOptions
) -> Tensor:
    """Of params."""
    return torch.empty_like(params)


@op(vmap=_vmap.importance_weighted_bound)
def importance_weighted_bound(log_w: Tensor, dim: int) -> Tensor:
    """logsumexp(log_w) - log K along `dim`."""
    return _outputs.importance_weighted_bound(log_w, dim)


@op(vmap=_vmap.importance_weighted_bound_backward)
def importance_weighted_bound_backward(grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int) -> Tensor:
    """The normalized weights times the upstream gradient."""
    return torch.empty_like(log_w)
