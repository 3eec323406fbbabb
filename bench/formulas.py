"""The losses as they are written today: torch's functions, and the formulas that codebases copy from each other.

Each is plain PyTorch of its inputs' dtype, returns nats by element and names its source.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as T
from torch import Tensor
from torch.distributions import Normal, kl_divergence

_SCVI_EPS = 1e-8


def standard_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) of pytorch/examples, vae/main.py."""
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())


def prior_kl(mu: Tensor, logvar: Tensor, prior_mu: Tensor, prior_logvar: Tensor) -> Tensor:
    """KL of two Gaussians by torch.distributions, as conditional VAEs call it."""
    posterior = Normal(mu, torch.exp(0.5 * logvar), validate_args=False)
    prior = Normal(prior_mu, torch.exp(0.5 * prior_logvar), validate_args=False)
    divergence: Tensor = kl_divergence(posterior, prior)
    return divergence


def sample(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """The reparameterization of pytorch/examples, vae/main.py."""
    return mu + eps * torch.exp(0.5 * logvar)


def sigmoid_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of the probabilities of a sigmoid: pytorch/examples, vae/main.py."""
    return T.binary_cross_entropy(torch.sigmoid(logits), target, reduction="none")


def normal_density(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, exp(logvar)) by torch.distributions."""
    density: Tensor = Normal(mu, torch.exp(0.5 * logvar), validate_args=False).log_prob(z)
    return density


def log_normal(x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(x; mu, exp(logvar)) by one over the variance, as beta-TC-VAE and VampPrior write it."""
    return -0.5 * (math.log(2 * math.pi) + logvar + (x - mu) ** 2 * torch.exp(-logvar))


def torch_gaussian(mean: Tensor, target: Tensor, log_scale: Tensor) -> Tensor:
    """torch.nn.functional.gaussian_nll_loss, which takes a variance and keeps it above 1e-6."""
    return T.gaussian_nll_loss(mean, target, torch.exp(2 * log_scale), reduction="none")


def sigma_vae(mean: Tensor, target: Tensor, log_scale: Tensor) -> Tensor:
    """The Gaussian of Rybkin et al. 2021 without its constant."""
    return 0.5 * torch.pow((target - mean) / log_scale.exp(), 2) + log_scale


def negative_binomial(mean: Tensor, theta: Tensor, x: Tensor) -> Tensor:
    """scvi-tools' log_nb_positive (Lopez et al. 2018), negated."""
    log_both = torch.log(theta + mean + _SCVI_EPS)
    result = theta * (torch.log(theta + _SCVI_EPS) - log_both) + x * (torch.log(mean + _SCVI_EPS) - log_both)
    return -(result + torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1))


def zero_inflated(mean: Tensor, theta: Tensor, logits: Tensor, x: Tensor) -> Tensor:
    """scvi-tools' log_zinb_positive (Lopez et al. 2018), negated."""
    softplus = T.softplus(-logits)
    log_theta, log_both = torch.log(theta + _SCVI_EPS), torch.log(theta + mean + _SCVI_EPS)
    at_zero = -logits + theta * (log_theta - log_both)
    zero = T.softplus(at_zero) - softplus
    other = -softplus + at_zero + x * (torch.log(mean + _SCVI_EPS) - log_both)
    other = other + torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return -((x < _SCVI_EPS).to(x.dtype) * zero + (x > _SCVI_EPS).to(x.dtype) * other)


def discretized_mixture(params: Tensor, x: Tensor, mixtures: int) -> Tensor:
    """The logistic mixture of PixelCNN++ (Salimans et al. 2017), whose thresholds VDVAE and NVAE kept; by pixel."""
    _, _, *size = x.shape
    logits = params[:, :mixtures]
    means, log_scales, raw = params[:, mixtures:].view(len(x), 3, 3, mixtures, *size).unbind(2)
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
    return -torch.logsumexp(log_probs, 1)


def mixture(z: Tensor, mu: Tensor, logvar: Tensor, weights: Tensor) -> Tensor:
    """The log density of a mixture as VampPrior (Tomczak & Welling 2018) has it: a matrix of all pairs; by row."""
    joint = log_normal(z.unsqueeze(1), mu, logvar).sum(2) + torch.log_softmax(weights, 0)
    return torch.logsumexp(joint, 1)


def minibatch_densities(z: Tensor, mu: Tensor, logvar: Tensor, dataset_size: int) -> tuple[Tensor, Tensor]:
    """log q(z) and sum_d log q(z_d) as beta-TC-VAE (Chen et al. 2018) has them: a matrix of all pairs; by row."""
    lattice = log_normal(z.unsqueeze(1), mu, logvar)
    normalizer = math.log(len(z) * dataset_size)
    log_qz = torch.logsumexp(lattice.sum(2), 1) - normalizer
    return log_qz, (torch.logsumexp(lattice, 1) - normalizer).sum(1)


def bound(log_w: Tensor) -> Tensor:
    """log (1/K) sum_k w_k as IWAE code has it."""
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


def examples_loss(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """The loss of pytorch/examples, vae/main.py: a scalar."""
    return T.binary_cross_entropy(recon_x, x, reduction="sum") + standard_kl(mu, logvar).sum()
