"""The negative binomial in mpmath, and the operands that its tests share."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

EPS = 1e-8
DISPERSIONS = (1e-8, 1e-4, 0.1, 0.5, 1.0, 3.0, 30.0, 1e3, 1e4, 1e6, 1e8)
COUNTS = (0, 1, 2, 3, 7, 30, 1000, 65535)
MEANS = (1e-10, 1e-4, 0.05, 1.0, 1.5, 30.0, 999.0, 65000.0, 1e6)
LOG_MEANS = (-math.inf, -300.0, -80.0, -9.0, -0.3, 0.0, 0.4, 7.0, 11.0, 50.0, 90.0, 300.0)
LOGITS = (-40.0, -5.0, -0.5, 0.0, 0.7, 8.0, 50.0)


def exact(mean: float, count: int, t: float, logit: float | None = None, log_input: bool = False) -> tuple[float, ...]:
    """The loss and its derivatives by mean, inverse dispersion and, where there is one, logit; of numbers as given."""
    mp: Any = pytest.importorskip("mpmath").mp
    with mp.workdps(60):
        m = mp.exp(mean) if log_input else mp.mpf(mean) + (mp.mpf(EPS) if count else 0)
        log_m = mp.mpf(mean) if log_input else mp.log(m)
        x, t = mp.mpf(count), mp.mpf(t)
        loss = t * mp.log1p(m / t)
        by_mean = t * (m - x) / (t + m) / (1 if log_input else m)
        by_t = mp.log1p(m / t) + (x - m) / (t + m) - mp.digamma(t + x) + mp.digamma(t)
        if count:
            loss += x * (mp.log(t + m) - log_m) + mp.loggamma(t) - mp.loggamma(t + x) + mp.loggamma(x + 1)
        if logit is None:
            return float(loss), float(by_mean), float(by_t)
        p = 1 / (1 + mp.exp(-mp.mpf(logit)))
        if count:
            return float(loss - mp.log(1 - p)), float(by_mean), float(by_t), float(p)
        total = p + (1 - p) * mp.exp(-loss)
        drawn = (1 - p) * mp.exp(-loss) / total
        return float(-mp.log(total)), float(by_mean * drawn), float(by_t * drawn), float(drawn - (1 - p))


def operands(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    seed: int = 0,
    *,
    dispersion: tuple[int, ...] | None = None,
    logits: tuple[int, ...] | None = None,
    zeros: float = 0.6,
) -> dict[str, Tensor]:
    """mean, target and inverse_dispersion of which many counts are 0; zero_inflation_logits where they have a shape."""
    generator = torch.Generator().manual_seed(seed)

    def normal(of: tuple[int, ...]) -> Tensor:
        return torch.randn(of, generator=generator, dtype=torch.float64)

    counts = torch.poisson((1 + normal(shape)).exp(), generator)
    present = torch.rand(shape, generator=generator) >= zeros
    tensors = {
        "mean": normal(shape).exp().to(dtype),
        "target": (counts * present).to(dtype),
        "inverse_dispersion": (1.5 * normal(shape if dispersion is None else dispersion)).exp().to(dtype),
    }
    return tensors if logits is None else tensors | {"zero_inflation_logits": (2 * normal(logits)).to(dtype)}
