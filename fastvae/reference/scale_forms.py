"""What a raw scale means: sigma = base e^exponent, and what follows from it at any size of sigma.

sigma^2 and 1 / sigma leave the range of a dtype long before sigma does, and log sigma never does: nothing here squares
or inverts a sigma on the way to a number that is finite.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Form(NamedTuple):
    """The options of a scale, as `fastvae.functional.reparameterize` describes them."""

    parameterization: str
    clamp: tuple[float, float] | None
    min_std: float
    min_var: float


class Scale(NamedTuple):
    """sigma = base e^exponent, the base with sigma's sign; None stands for a base of 1 and for an exponent of 0.

    Attributes:
        variance: base^2, in the forms that reach it before its root.
    """

    base: Tensor | None
    exponent: Tensor | None
    variance: Tensor | None = None


def scale(raw: Tensor, form: Form) -> Scale:
    """The scale that `raw` stands for, clamp and floors applied."""
    # torch takes no int beyond 64 bits, which is a float nevertheless.
    min_std, min_var = float(form.min_std), float(form.min_var)
    raw = raw if form.clamp is None else raw.clamp(*map(float, form.clamp))
    plain = _plain(raw, form.parameterization)
    if not (min_std or min_var):
        return plain
    sigma = std(plain)
    if min_std:
        return Scale(sigma + min_std, None)
    if plain.variance is not None:
        variance = plain.variance + min_var
        return Scale(torch.sqrt(variance), None, variance)
    return Scale(_hypot(sigma, math.sqrt(min_var)), None, sigma.square() + min_var)


def _plain(raw: Tensor, parameterization: str) -> Scale:
    if parameterization == "logvar":
        return Scale(None, 0.5 * raw)
    if parameterization == "log_std":
        return Scale(None, raw)
    if parameterization == "std":
        return Scale(raw, None)
    if parameterization == "variance":
        return Scale(torch.sqrt(raw), None, raw)
    if parameterization != "softplus":
        raise ValueError(
            f"parameterization: got {parameterization!r}; takes logvar, log_std, std, softplus or variance"
        )
    # From here down a softplus is an exponential to the last place.
    least = torch.full_like(raw, -40.0 if raw.dtype == torch.float64 else -17.0)
    # log(1 + e^raw) exactly: torch.nn.functional.softplus turns linear above 20.
    base = torch.logaddexp(torch.maximum(raw, least), torch.zeros_like(raw))
    return Scale(base, torch.minimum(raw - least, torch.zeros_like(raw)))


def _hypot(sigma: Tensor, floor: float) -> Tensor:
    """sqrt(sigma^2 + floor^2), also where a square is beyond the range: torch.hypot, which ONNX does not have."""
    size, least = sigma.abs(), torch.full_like(sigma, floor)
    larger = torch.maximum(size, least)
    return larger * torch.sqrt(1 + (torch.minimum(size, least) / larger).square())


def std(scale: Scale) -> Tensor:
    """sigma, with its sign where the form has one."""
    if scale.base is None:
        assert scale.exponent is not None
        return torch.exp(scale.exponent)
    return scale.base if scale.exponent is None else scale.base * torch.exp(scale.exponent)


def log_std(scale: Scale) -> Tensor:
    """log |sigma|."""
    if scale.base is None:
        assert scale.exponent is not None
        return scale.exponent
    logarithm = torch.log(scale.base.abs())
    return logarithm if scale.exponent is None else logarithm + scale.exponent


def over_std(value: Tensor, scale: Scale) -> Tensor:
    """value / sigma."""
    if scale.exponent is not None:
        value = _times_exp(value, -scale.exponent)
    return value if scale.base is None else value / scale.base


def variance_ratio(q: Scale, p: Scale | None) -> tuple[Tensor, Tensor]:
    """(r - 1, log r) of r = var_q / var_p, or of var_q where p is None, neither losing digits where r is near 1."""
    if q.base is None:
        return _exponent_ratio(q, p)
    excess, log_ratio = _base_ratio(q, p)
    if q.exponent is None:
        return excess, log_ratio
    beyond, log_beyond = _exponent_ratio(q, p)
    return excess * torch.exp(log_beyond) + beyond, log_ratio + log_beyond


def _exponent_ratio(q: Scale, p: Scale | None) -> tuple[Tensor, Tensor]:
    """The part of the ratio that the exponents make."""
    assert q.exponent is not None
    log_ratio = 2 * (q.exponent if p is None or p.exponent is None else q.exponent - p.exponent)
    return torch.expm1(log_ratio), log_ratio


def _base_ratio(q: Scale, p: Scale | None) -> tuple[Tensor, Tensor]:
    """The part of the ratio that the bases make."""
    assert q.base is not None
    a = q.base.abs()
    b = torch.ones_like(a) if p is None or p.base is None else p.base.abs()
    u = (a - b) / b
    excess = u * (u + 2)
    if q.variance is not None:
        v = q.variance
        v_p = torch.ones_like(v) if p is None or p.variance is None else p.variance
        finite = torch.isfinite(v + v_p)
        excess = torch.where(finite, (torch.where(finite, v, 1) - torch.where(finite, v_p, 1)) / v_p, excess)
    near = excess.abs() < 0.5
    by_excess = torch.log1p(torch.where(near, excess, 0))
    return excess, torch.where(near, by_excess, 2 * _log_quotient(a, b))


def _log_quotient(a: Tensor, b: Tensor) -> Tensor:
    """log(a / b) of positive numbers, also where the quotient vanishes."""
    shift = 512 if a.dtype == torch.float64 else 64
    small = a < b * 2.0**-shift
    near = torch.log(torch.where(small, a * 2.0**shift, a) / torch.where(small, b * 2.0**-shift, b))
    return torch.where(small, near - 2 * shift * math.log(2), near)


def _times_exp(value: Tensor, x: Tensor) -> Tensor:
    """value e^x, also where e^x is beyond the range of the dtype."""
    most = 700 if x.dtype == torch.float64 else 85
    x = _bounded(x, 2 * most)
    beyond = torch.relu(x - most) - torch.relu(-most - x)
    return value * torch.exp(_bounded(x, most)) * torch.exp(beyond)


def _bounded(x: Tensor, most: float) -> Tensor:
    """x between -most and most; unlike `clamp`, it gives NaN a gradient."""
    return torch.where(x > most, most, torch.where(x < -most, -most, x))
