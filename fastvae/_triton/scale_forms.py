"""What a raw scale tensor means on the device: sigma, its derivatives, and the ratio of two variances.

`raw` is already clamped except where said. Forms whose logarithm is linear in `raw` never take one, so that nothing
cancels where a posterior nears its prior.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from fastvae._options import ScaleForm
from fastvae._triton.elementary import (
    constant_like,
    exp,
    exp_remainder,
    log,
    log1p_deficit,
    log_quotient,
    sigmoid,
    softplus,
    sqrt,
    square_times_exp,
    times_exp,
)


class Form(NamedTuple):
    """A `ScaleForm` as compile-time constants: a Python float argument would reach the device as float32.

    `kind` says in which quantity the form is exact: "logarithm" (log sigma is linear in raw), "variance", "std", or
    "softplus" (a std that turns into a logarithm where it is small).
    """

    kind: Any
    parameterization: Any
    low: Any
    high: Any
    min_std: Any
    min_var: Any


def compile_time(form: ScaleForm) -> Form:
    """The form as kernels take it."""
    if form.parameterization in ("logvar", "log_std") and not (form.min_std or form.min_var):
        kind = "logarithm"
    elif form.min_var or (form.parameterization == "variance" and not form.min_std):
        kind = "variance"
    else:
        kind = "softplus" if form.parameterization == "softplus" and not form.min_std else "std"
    return Form(*map(tl.constexpr, (kind, *form)))


@triton.jit
def clamp(raw, form):
    """torch.clamp: NaN stays NaN."""
    if form.low > -float("inf"):
        raw = tl.where(raw < form.low, form.low, raw)
    if form.high < float("inf"):
        raw = tl.where(raw > form.high, form.high, raw)
    return raw


@triton.jit
def through_clamp(gradient, raw, form):
    """The gradient of an unclamped `raw`: 0 where the clamp holds it, NaN where it is NaN."""
    if form.low > -float("inf"):
        gradient = tl.where(raw < form.low, 0.0, gradient)
    if form.high < float("inf"):
        gradient = tl.where(raw > form.high, 0.0, gradient)
    return gradient


@triton.jit
def log_sigma(raw, form):
    """log sigma of a logarithmic form."""
    return 0.5 * raw if form.parameterization == "logvar" else raw


@triton.jit
def _unfloored(raw, form):
    if form.parameterization == "logvar" or form.parameterization == "log_std":
        return exp(log_sigma(raw, form))
    elif form.parameterization == "softplus":
        return softplus(raw)
    elif form.parameterization == "variance":
        return sqrt(raw)
    else:
        return raw


@triton.jit
def _unfloored_variance(raw, form):
    if form.parameterization == "variance":
        return raw
    elif form.parameterization == "logvar" or form.parameterization == "log_std":
        return exp(2.0 * log_sigma(raw, form))
    else:
        value = _unfloored(raw, form)
        return value * value


@triton.jit
def variance_less_one(raw, form):
    """sigma^2 - 1 of a "variance" kind."""
    if form.parameterization == "variance":
        return (raw - 1.0) + form.min_var
    elif form.parameterization == "logvar" or form.parameterization == "log_std":
        u, _ = _excess(log_sigma(raw, form))
        return u * (u + 2.0) + form.min_var
    else:
        value = _unfloored(raw, form)
        return (value - 1.0) * (value + 1.0) + form.min_var


@triton.jit
def variance(raw, form):
    """sigma^2 of a "variance" kind."""
    return _unfloored_variance(raw, form) + form.min_var


@triton.jit
def _root(raw, form):
    """sigma under a floor of the variance, also where the variance overflows."""
    squared = variance(raw, form)
    if form.parameterization == "variance":
        return sqrt(squared)
    else:
        # 2^-64, or 2^-512.
        least: tl.constexpr = 7.458340731200207e-155 if raw.dtype == tl.float64 else 5.421010862427522e-20
        shrunk = _unfloored(raw, form) * least
        floor = constant_like(raw, form.min_var) * least * least  # a literal as small as this would be float64
        beyond = sqrt(shrunk * shrunk + floor) * (1.0 / least)
        return tl.where(squared < float("inf"), sqrt(squared), beyond)


@triton.jit
def sigma(raw, form):
    """sigma, with its sign where the form has one."""
    if form.min_var > 0.0:
        return _root(raw, form)
    elif form.min_std > 0.0:
        return _unfloored(raw, form) + form.min_std
    else:
        return _unfloored(raw, form)


@triton.jit
def _unfloored_slope(raw, form):
    if form.parameterization == "logvar":
        return 0.5 * _unfloored(raw, form)
    elif form.parameterization == "log_std":
        return _unfloored(raw, form)
    elif form.parameterization == "softplus":
        return sigmoid(raw)
    elif form.parameterization == "variance":
        return 0.5 / sqrt(raw)
    else:
        return constant_like(raw, 1.0)


@triton.jit
def _variance_slope(raw, form):
    if form.parameterization == "variance":
        return constant_like(raw, 1.0)
    elif form.parameterization == "logvar":
        return _unfloored_variance(raw, form)
    elif form.parameterization == "log_std":
        return 2.0 * _unfloored_variance(raw, form)
    else:
        return 2.0 * _unfloored(raw, form) * _unfloored_slope(raw, form)


@triton.jit
def sigma_slope(raw, form):
    """d sigma / d raw."""
    if form.min_var > 0.0:
        if form.parameterization == "variance":
            return 0.5 / sigma(raw, form)
        else:
            return (_unfloored(raw, form) / sigma(raw, form)) * _unfloored_slope(raw, form)
    else:
        return _unfloored_slope(raw, form)


@triton.jit
def _is_exponential(raw):
    """Where a softplus is e^raw to the last place: it vanishes there long before its logarithm is unusual."""
    return raw < (-40.0 if raw.dtype == tl.float64 else -17.0)


@triton.jit
def log_variance_slope(raw, form):
    """d log sigma^2 / d raw."""
    if form.kind == "logarithm":
        return constant_like(raw, 1.0 if form.parameterization == "logvar" else 2.0)
    elif form.kind == "variance":
        v = variance(raw, form)
        beyond = 2.0 * sigma_slope(raw, form) / sigma(raw, form)
        return tl.where(v < float("inf"), _variance_slope(raw, form) / v, beyond)
    else:
        slope = 2.0 * sigma_slope(raw, form) / sigma(raw, form)
        if form.kind == "softplus":
            slope = tl.where(_is_exponential(raw), 2.0, slope)
        return slope


@triton.jit
def _excess(s):
    """(e^s - 1, e^(2 s) - 1 - 2 s), neither cancelling."""
    e = exp(s)
    near = tl.abs(s) <= 0.5
    bounded = tl.where(near, s, 0.0)
    q = exp_remainder(bounded)
    u = tl.where(near, bounded + q, e - 1.0)
    h = tl.where(near, u * u + 2.0 * q, (e * e - 1.0) - 2.0 * s)
    return u, h


@triton.jit
def _deficit(d, log_ratio):
    """d - ln(1 + d), where `log_ratio` is the logarithm, accurate away from 0."""
    near = tl.abs(d) <= 0.4
    return tl.where(near, log1p_deficit(tl.where(near, d, 0.0)), d - log_ratio)


@triton.jit
def _exponential_ratio(s):
    """(r - 1, r - 1 - log r) of r = e^(2 s)."""
    u, h = _excess(s)
    return u * (u + 2.0), h


@triton.jit
def _std_ratio(raw, raw_p, form):
    a, b = tl.abs(sigma(raw, form)), tl.abs(sigma(raw_p, form))
    u = (a - b) / b
    d = u * (u + 2.0)
    return d, _deficit(d, 2.0 * log_quotient(a, b))


@triton.jit
def _softplus_ratio(raw, raw_p, form):
    d, h = _std_ratio(raw, raw_p, form)
    small, small_p = _is_exponential(raw), _is_exponential(raw_p)
    both, h_both = _exponential_ratio(raw - raw_p)
    h_mixed = d - 2.0 * (log_abs_sigma(raw, form) - log_abs_sigma(raw_p, form))
    return tl.where(small & small_p, both, d), tl.where(small, tl.where(small_p, h_both, h_mixed), h)


@triton.jit
def _variance_ratio(raw, raw_p, form):
    v, v_p = variance(raw, form), variance(raw_p, form)
    d = (v - v_p) / v_p
    if form.parameterization == "variance":
        return d, _deficit(d, log_quotient(v, v_p))
    else:
        a, b = sigma(raw, form), sigma(raw_p, form)
        u = (a - b) / b
        d = tl.where(v + v_p < float("inf"), d, u * (u + 2.0))
        return d, _deficit(d, 2.0 * log_quotient(a, b))


@triton.jit
def variance_ratio(raw, raw_p, form):
    """(r - 1, r - 1 - log r) of r = sigma^2 / sigma_p^2; `raw_p` is None for sigma_p = 1."""
    if form.kind == "logarithm":
        s = log_sigma(raw, form)
        if raw_p is not None:
            s = s - log_sigma(raw_p, form)
        return _exponential_ratio(s)
    elif raw_p is None:
        if form.kind == "variance":
            d = variance_less_one(raw, form)
        else:
            a = sigma(raw, form)
            d = (a - 1.0) * (a + 1.0)
        return d, _deficit(d, 2.0 * log_abs_sigma(raw, form))
    elif form.kind == "variance":
        return _variance_ratio(raw, raw_p, form)
    elif form.kind == "softplus":
        return _softplus_ratio(raw, raw_p, form)
    else:
        return _std_ratio(raw, raw_p, form)


@triton.jit
def distance(value, raw, form):
    """(value / sigma)^2, by no square and no inverse of sigma: they leave the range of a float long before it does."""
    if form.kind == "logarithm":
        return square_times_exp(value, -2.0 * log_sigma(raw, form))
    quotient = value / sigma(raw, form)
    if form.kind == "softplus":
        quotient = tl.where(_is_exponential(raw), times_exp(value, -raw), quotient)
    square = quotient * quotient
    if form.kind == "variance":
        v = variance(raw, form)
        square = tl.where(v < float("inf"), value * (value / v), square)
    return square


@triton.jit
def over_variance(value, raw, form):
    """value / sigma^2."""
    if form.kind == "logarithm":
        return times_exp(value, -2.0 * log_sigma(raw, form))
    quotient = value / sigma(raw, form) / sigma(raw, form)
    if form.kind == "softplus":
        quotient = tl.where(_is_exponential(raw), times_exp(value, -2.0 * raw), quotient)
    elif form.kind == "variance":
        v = variance(raw, form)
        quotient = tl.where(v < float("inf"), value / v, quotient)
    return quotient


@triton.jit
def log_abs_sigma(raw, form):
    """log |sigma|."""
    if form.kind == "logarithm":
        return log_sigma(raw, form)
    elif form.kind == "softplus":
        return tl.where(_is_exponential(raw), raw, log(sigma(raw, form)))
    elif form.kind == "variance" and form.parameterization == "variance":
        return 0.5 * log(variance(raw, form))
    else:
        return log(tl.abs(sigma(raw, form)))
