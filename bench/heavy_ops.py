"""Losses that take a large part of a step: fastvae's call, and that of the codebase that each is known from."""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as T
from torch import Tensor

import fastvae.functional as F
from bench.ops import Inputs, Op, Outputs, Shape, random
from fastvae import losses

_MIXTURES: Final = 10
_ZEROS: Final = 0.9  # the share of them in single-cell counts
_MMD: Final = losses.MMD()
_DIP: Final = losses.DIP()
_SCRATCH: Final = 2**20  # bytes a thread
_ROUNDINGS: Final = 16  # a result is of many terms


def log_normal(x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(x; mu, exp(logvar)) in nats, by element."""
    return -0.5 * (math.log(2 * math.pi) + logvar + (x - mu) ** 2 * torch.exp(-logvar))


def _posterior(shape: Shape) -> Inputs:
    drawn = (torch.randn(shape, generator=random()) for _ in range(3))
    mu, logvar, eps = drawn
    logvar = logvar.clamp(-2, 2)
    z = mu + (0.5 * logvar).exp() * eps
    return Inputs(tuple(tensor.requires_grad_() for tensor in (z, mu, logvar)), (), (None,))


def total_correlation(z: Tensor, mu: Tensor, logvar: Tensor) -> Outputs:
    """beta-TC-VAE's, with minibatch-weighted sampling."""
    lattice = log_normal(z.unsqueeze(1), mu, logvar)
    normalizer = math.log(len(z) * 60_000)
    log_qz = torch.logsumexp(lattice.sum(2), 1) - normalizer
    log_product = (torch.logsumexp(lattice, 1) - normalizer).sum(1)
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
    joint = log_normal(z.unsqueeze(1), mu, logvar).sum(2) + torch.log_softmax(weights, 0)
    return (torch.logsumexp(joint, 1).mean(),)


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
    eps = 1e-8
    log_both = torch.log(theta + mean + eps)
    result = theta * (torch.log(theta + eps) - log_both) + x * (torch.log(mean + eps) - log_both)
    result = result + torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return (-result.sum(-1).mean(),)


def zero_inflated(mean: Tensor, theta: Tensor, logits: Tensor, x: Tensor) -> Outputs:
    """scvi-tools' log_zinb_positive, negated."""
    eps = 1e-8
    softplus = T.softplus(-logits)
    log_theta, log_both = torch.log(theta + eps), torch.log(theta + mean + eps)
    at_zero = -logits + theta * (log_theta - log_both)
    zero = T.softplus(at_zero) - softplus
    other = -softplus + at_zero + x * (torch.log(mean + eps) - log_both)
    other = other + torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return (-((x < eps).float() * zero + (x > eps).float() * other).sum(-1).mean(),)


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
    """The logistic mixture of PixelCNN++, whose thresholds VDVAE and NVAE kept."""
    batch, _, *size = x.shape
    logits = params[:, :_MIXTURES]
    means, log_scales, raw = params[:, _MIXTURES:].view(batch, 3, 3, _MIXTURES, *size).unbind(2)
    log_scales, c = log_scales.clamp(min=-7.0), torch.tanh(raw)
    x = x.unsqueeze(2)
    shifts = (torch.zeros_like(c[:, 0]), c[:, 0] * x[:, 0], c[:, 1] * x[:, 0] + c[:, 2] * x[:, 1])
    centred = x - (means + torch.stack(shifts, 1))
    inverse = torch.exp(-log_scales)
    plus, minus, middle = inverse * (centred + 1 / 255), inverse * (centred - 1 / 255), inverse * centred
    delta = torch.sigmoid(plus) - torch.sigmoid(minus)
    density = middle - log_scales - 2 * T.softplus(middle) - math.log(127.5)
    inner = torch.where(delta > 1e-5, torch.log(delta.clamp(min=1e-12)), density)
    edge = torch.where(x > 0.999, -T.softplus(minus), inner)
    log_probs = torch.where(x < -0.999, plus - T.softplus(plus), edge).sum(1) + torch.log_softmax(logits, 1)
    return (-torch.logsumexp(log_probs, 1).sum() / batch,)


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
