"""Log-density of a diagonal Gaussian: -0.5 ((z - mu) / sigma)^2 - log sigma - 0.5 log 2 pi."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastvae.reference import _common, scale_forms


def log_normal(
    z: Tensor,
    mu: Tensor | None = None,
    scale: Tensor | None = None,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    reduction: str = "sample",
    batch_dims: int = 1,
) -> Tensor:
    distance = _common.upcast(z, z)
    log_prob = -0.5 * math.log(2 * math.pi) * torch.ones_like(distance)
    if mu is not None and scale is not None:
        form = scale_forms.Form(parameterization, clamp, min_std, min_var)
        sigma = scale_forms.scale(_common.upcast(scale, z), form)
        distance = scale_forms.over_std(distance - _common.upcast(mu, z), sigma)
        log_prob = log_prob - scale_forms.log_std(sigma)
    log_prob = log_prob - 0.5 * distance.square()
    return _common.reduce(log_prob, reduction, batch_dims)
