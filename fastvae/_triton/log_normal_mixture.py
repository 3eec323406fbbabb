"""Log-density of a mixture of Gaussians on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fastvae import _outputs
from fastvae._options import ScaleForm
from fastvae._triton import _mixture, _operands
from fastvae._triton._mixture import Mixture


def _normalized(log_weights: Tensor | None, like: Tensor) -> Tensor | None:
    return None if log_weights is None else torch.log_softmax(log_weights.to(_outputs.compute_dtype(like)), 0)


def log_normal_mixture(
    z: Tensor, mu: Tensor, scale: Tensor, log_weights: Tensor | None, form: ScaleForm
) -> tuple[Tensor, Tensor]:
    """(log-density, sums) of points ``[batch, D]`` under components ``[K, D]``."""
    log_prob, sums = _outputs.log_normal_mixture(z)
    if len(z):
        log_weight = -math.log(len(mu)) if log_weights is None else 0.0
        mixture = Mixture(form, False, log_weight=log_weight)
        _mixture.add(z, mu, scale, _normalized(log_weights, z), mixture, sums, log_prob)
    return log_prob, sums


def log_normal_mixture_backward(
    grad_log_prob: Tensor,
    z: Tensor,
    mu: Tensor,
    scale: Tensor,
    log_weights: Tensor | None,
    sums: Tensor,
    form: ScaleForm,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Of z, mu, scale and log_weights, None where not wanted."""
    gradients = _outputs.gradients(wanted, z, mu, scale, log_weights)
    to_z, to_mu, to_scale, to_log_weights = gradients
    if len(z) == 0:
        _operands.zero(gradients)
        return gradients
    normalized = _normalized(log_weights, z)
    of_weights = None if to_log_weights is None or normalized is None else torch.empty_like(normalized)
    upstream = grad_log_prob, None
    mixture = Mixture(form, False)
    _mixture.gradients(upstream, z, mu, scale, normalized, sums, mixture, to_z, to_mu, to_scale, of_weights)
    if to_log_weights is not None and of_weights is not None and normalized is not None:
        to_log_weights.copy_(of_weights - grad_log_prob.sum() * normalized.exp())
    return gradients
