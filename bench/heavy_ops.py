"""Losses that take a large part of a step: fastvae's call, and that of the codebase that each is known from."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

import fastvae.functional as F
from bench import formulas
from bench.ops import Inputs, Op, Outputs, Shape, random
from fastvae import losses

_MIXTURES: Final = 10
_ZEROS: Final = 0.9  # the share of them in single-cell counts
_MMD: Final = losses.MMD()
_DIP: Final = losses.DIP()
_SCRATCH: Final = 2**20  # bytes a thread
# Of many terms, some of them large: twice the largest error of torch's own in two dozen draws.
_ROUNDINGS: Final = 64


def _posterior(shape: Shape) -> Inputs:
    drawn = (torch.randn(shape, generator=random()) for _ in range(3))
    mu, logvar, eps = drawn
    logvar = logvar.clamp(-2, 2)
    z = mu + (0.5 * logvar).exp() * eps
    return Inputs(tuple(tensor.requires_grad_() for tensor in (z, mu, logvar)), (), (None,))


def total_correlation(z: Tensor, mu: Tensor, logvar: Tensor) -> Outputs:
    """beta-TC-VAE's, with minibatch-weighted sampling."""
    log_qz, log_product = formulas.minibatch_densities(z, mu, logvar, 60_000)
    return ((log_qz - log_product).mean(),)


def _fused_total_correlation(z: Tensor, mu: Tensor, logvar: Tensor) -> Outputs:
    log_qz, log_product = F.minibatch_log_densities(z, mu, logvar, dataset_size=60_000)
    return ((log_qz - log_product).mean(),)


def _components(latent: Shape, mixture: Shape) -> Inputs:
    generator = random()
    z = torch.randn(latent, generator=generator)
    mu, logvar = torch.randn(mixture, generator=generator), 0.5 * torch.randn(mixture, generator=generator)
    weights = torch.randn(mixture[0], generator=generator)
    return Inputs(tuple(tensor.requires_grad_() for tensor in (z, mu, logvar, weights)), (), (None,))


def mixture(z: Tensor, mu: Tensor, logvar: Tensor, weights: Tensor) -> Outputs:
    """The VampPrior's log density."""
    return (formulas.mixture(z, mu, logvar, weights).mean(),)


def _fused_mixture(z: Tensor, mu: Tensor, logvar: Tensor, weights: Tensor) -> Outputs:
    return (F.log_normal_mixture(z, mu, logvar, weights, reduction="batchmean"),)


def counts(shape: Shape) -> Tensor:
    """Counts of genes of which nine in ten are 0."""
    generator = random()
    rates = torch.empty(shape).exponential_(0.2, generator=generator)
    kept = torch.rand(shape, generator=generator) > _ZEROS
    return torch.poisson(1 + rates, generator=generator) * kept


def _cells(shape: Shape) -> Inputs:
    generator = random()
    mean = torch.rand(shape, generator=generator) + 0.05
    theta = 2 * torch.rand(shape[1], generator=generator) + 0.1
    return Inputs((mean.requires_grad_(), theta.requires_grad_()), (counts(shape),), (None,))


def _inflated_cells(shape: Shape) -> Inputs:
    differentiable, constant, upstream = _cells(shape)
    logits = torch.randn(shape, generator=random())
    return Inputs((*differentiable, logits.requires_grad_()), constant, upstream)


def negative_binomial(mean: Tensor, theta: Tensor, x: Tensor) -> Outputs:
    """scvi-tools' log_nb_positive, negated."""
    return (formulas.negative_binomial(mean, theta, x).sum(-1).mean(),)


def zero_inflated(mean: Tensor, theta: Tensor, logits: Tensor, x: Tensor) -> Outputs:
    """scvi-tools' log_zinb_positive, negated."""
    return (formulas.zero_inflated(mean, theta, logits, x).sum(-1).mean(),)


def _fused_negative_binomial(mean: Tensor, theta: Tensor, x: Tensor) -> Outputs:
    return (F.negative_binomial_nll(mean, x, theta),)


def fused_zero_inflated(mean: Tensor, theta: Tensor, logits: Tensor, x: Tensor) -> Outputs:
    """The same by fastvae."""
    return (F.negative_binomial_nll(mean, x, theta, zero_inflation_logits=logits),)


def _pixels_of_mixtures(shape: Shape) -> Inputs:
    generator = random()
    batch, channels, *size = shape
    params = torch.randn((batch, (1 + 3 * channels) * _MIXTURES, *size), generator=generator)
    x = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).float() / 127.5 - 1
    return Inputs((params.requires_grad_(),), (x,), (None,))


def _discretized(params: Tensor, x: Tensor) -> Outputs:
    """The logistic mixture of PixelCNN++."""
    return (formulas.discretized_mixture(params, x, _MIXTURES).sum() / len(x),)


def _fused_discretized(params: Tensor, x: Tensor) -> Outputs:
    return (F.discretized_logistic_mixture_nll(params, x, num_mixtures=_MIXTURES),)


def _latents_and_draws(shape: Shape) -> Inputs:
    generator = random()
    z = torch.randn(shape, generator=generator)
    return Inputs((z.requires_grad_(),), (torch.randn(shape, generator=generator),), (None,))


def _mmd(z: Tensor, draws: Tensor) -> Outputs:
    return (_MMD(z, prior=draws),)


def _pairwise_mmd(z: Tensor, draws: Tensor) -> Outputs:
    """As it is widely copied, from differences of all pairs."""
    scale = 2 * z.shape[1]

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        return scale / (scale + (a[:, None] - b[None]).square().sum(-1))

    def within(a: Tensor) -> Tensor:
        return (similarity(a, a).sum() - len(a)) / (len(a) * (len(a) - 1))

    return (within(z) + within(draws) - 2 * similarity(z, draws).mean(),)


def _means(shape: Shape) -> Inputs:
    return Inputs((torch.randn(shape, generator=random()).requires_grad_(),), (), (None,))


def _dip(mu: Tensor) -> Outputs:
    return (_DIP(mu),)


# Plain PyTorch in the library, too: beside itself, as it is and compiled.
MMD: Final = Op(
    "mmd", "-", _latents_and_draws, _mmd, {"": _mmd, "_pairwise": _pairwise_mmd},
    {"tests/losses/test_regularizers.py": "mmd"}, None, None,
)  # fmt: skip
DIP: Final = Op("dip", "-", _means, _dip, {"": _dip}, {"tests/losses/test_regularizers.py": "dip"}, None, None)
TOTAL_CORRELATION: Final = Op(
    "total_correlation", "-", _posterior, _fused_total_correlation, {"": total_correlation},
    {"tests/core/test_minibatch_log_densities.py": "not triton"}, None, (12,), scratch=_SCRATCH, roundings=_ROUNDINGS,
)  # fmt: skip
LOG_NORMAL_MIXTURE: Final = Op(
    "log_normal_mixture", "-", _components, _fused_mixture, {"": mixture},
    {"tests/core/test_log_normal_mixture.py": "not triton"}, None, (4, 8), scratch=_SCRATCH, roundings=_ROUNDINGS,
)  # fmt: skip
NEGATIVE_BINOMIAL: Final = Op(
    "negative_binomial", "float32", _cells, _fused_negative_binomial, {"": negative_binomial},
    {"tests/core/test_negative_binomial_nll.py": "not triton"}, None, (4,), scratch=_SCRATCH, roundings=_ROUNDINGS,
)  # fmt: skip
ZERO_INFLATED: Final = Op(
    "zero_inflated_negative_binomial", "float32", _inflated_cells, fused_zero_inflated, {"": zero_inflated},
    {"tests/core/test_negative_binomial_nll.py": "not triton"}, None, (8,), scratch=_SCRATCH, roundings=_ROUNDINGS,
)  # fmt: skip
DISCRETIZED: Final = Op(
    "discretized_logistic_mixture", "float32", _pixels_of_mixtures, _fused_discretized, {"": _discretized},
    {"tests/core/test_discretized_logistic_mixture.py": "not triton"}, None, (400 // 3 + 1,), scratch=_SCRATCH,
    roundings=_ROUNDINGS,
)  # fmt: skip
