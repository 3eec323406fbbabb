"""The mixture of discretized logistics of PixelCNN++ (Salimans et al. 2017).

A logistic of mean m and scale s gives a level x of width 2 h the probability sigma(p) - sigma(q) with
p = (x - m + h) / s and q = (x - m - h) / s. Its logarithm is log sigma(p) + log sigma(-q) + log(1 - e^(q - p)), and
p - q = 2 h / s is known exactly: no difference cancels, however far x lies in a tail, and there is no threshold.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

from fastvae.reference import _common

LEAST_LOG_SCALE = -7.0


def discretized_logistic_mixture_nll(
    params: Tensor,
    target: Tensor,
    *,
    num_mixtures: int = 10,
    dim: int = 1,
    bits: int = 8,
    reduction: str = "batchmean",
) -> Tensor:
    half = 1.0 / (2**bits - 1)
    x = _levels(target, params, bits).movedim(dim, 1)
    values = _common.upcast(params, params).movedim(dim, 1)
    channels = x.shape[1]
    logits, rest = values[:, :num_mixtures], values[:, num_mixtures:]
    # [batch, channels, means / log scales / coefficients, num_mixtures, ...]
    parts = rest.unflatten(1, (channels, 3 if channels == 3 else 2, num_mixtures))
    means, log_scales, x = parts[:, :, 0], parts[:, :, 1], x.unsqueeze(2)
    if channels == 3:
        means = _conditioned(means, torch.tanh(parts[:, :, 2]), x)
    log_probs = _log_bin(x, means, log_scales.clamp(min=LEAST_LOG_SCALE), half).sum(1)
    log_prob = torch.logsumexp(log_probs + torch.log_softmax(logits, 1), 1)
    return _common.reduce(-log_prob, reduction, 1)


def _levels(target: Tensor, like: Tensor, bits: int) -> Tensor:
    """The target in [-1, 1]: bytes are levels 0 .. 2^bits - 1."""
    value = target.to(_common.compute_dtype(like))
    return value / (2**bits - 1) * 2 - 1 if target.dtype == torch.uint8 else value


def _conditioned(means: Tensor, coefficients: Tensor, x: Tensor) -> Tensor:
    """The means given the target's earlier channels: the second's depends on the first, the third's on both."""
    first, second = x[:, 0], x[:, 1]
    of_second, of_third, more_of_third = coefficients.unbind(1)
    return torch.stack(
        [
            means[:, 0],
            means[:, 1] + of_second * first,
            means[:, 2] + of_third * first + more_of_third * second,
        ],
        1,
    )


def _log_bin(x: Tensor, means: Tensor, log_scales: Tensor, half: float) -> Tensor:
    """The log-probability of the level x, 2 half wide; one that reaches beyond -1 or 1 has all that lies there."""
    centered, inverse = x - means, torch.exp(-log_scales)
    below = torch_functional.logsigmoid(inverse * (centered + half))
    above = torch_functional.logsigmoid(-inverse * (centered - half))
    middle = below + above + _log_within(log_scales, inverse, half)
    return torch.where(x < half - 1, below, torch.where(x > 1 - half, above, middle))


def _log_within(log_scales: Tensor, inverse: Tensor, half: float) -> Tensor:
    """log(1 - e^-w), w = 2 half / scale; of a scale so large that w is lost beside 1, by its series."""
    width = 2 * half * inverse
    tiny = width < torch.finfo(width.dtype).eps
    ordinary = torch.log(-torch.expm1(-torch.where(tiny, 1.0, width)))
    return torch.where(tiny, math.log(2 * half) - log_scales - 0.5 * width, ordinary)
