"""What KL and log density need of scales: the ratio of two variances, distances in units of sigma, log sigma.

No square and no inverse of a sigma stands on the way to a number that the dtype holds: they leave its range long before
sigma does. `raw` is already clamped.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton import scale_forms
from fastvae._triton.exponential import exp_less_one, square_times_exp, times_exp
from fastvae._triton.logarithm import log, log1p_deficit, log_quotient


@triton.jit
def _excess(s):
    """(e^s - 1, e^(2 s) - 1 - 2 s), neither cancelling."""
    e, u, q = exp_less_one(s)
    near = tl.abs(s) <= 0.5
    h = tl.where(near, u * u + 2.0 * q, (e * e - 1.0) - 2.0 * s)
    return tl.where(near, u, e - 1.0), h


@triton.jit
def _variance_less_one(raw, form):
    """sigma^2 - 1 of a "variance" kind."""
    if form.parameterization == "variance":
        return (raw - 1.0) + form.min_var
    elif form.parameterization == "logvar" or form.parameterization == "log_std":
        u, _ = _excess(scale_forms.log_sigma(raw, form))
        return u * (u + 2.0) + form.min_var
    else:
        value = scale_forms.unfloored(raw, form)
        return (value - 1.0) * (value + 1.0) + form.min_var


@triton.jit
def _deficit(d, log_ratio):
    """d - ln(1 + d), where `log_ratio` is the logarithm, accurate away from 0."""
    near = tl.abs(d) <= 0.4 if d.dtype == tl.float64 else (d >= -0.5) & (d <= 1.0)
    return tl.where(near, log1p_deficit(tl.where(near, d, 0.0)), d - log_ratio)


@triton.jit
def _exponential_ratio(s):
    """(r - 1, r - 1 - log r) of r = e^(2 s)."""
    u, h = _excess(s)
    return u * (u + 2.0), h


@triton.jit
def _std_ratio(raw, raw_p, form):
    a, b = tl.abs(scale_forms.sigma(raw, form)), tl.abs(scale_forms.sigma(raw_p, form))
    u = (a - b) / b
    d = u * (u + 2.0)
    return d, _deficit(d, 2.0 * log_quotient(a, b))


@triton.jit
def _softplus_ratio(raw, raw_p, form):
    d, h = _std_ratio(raw, raw_p, form)
    small, small_p = scale_forms.is_exponential(raw), scale_forms.is_exponential(raw_p)
    both, h_both = _exponential_ratio(raw - raw_p)
    h_mixed = d - 2.0 * (log_abs_sigma(raw, form) - log_abs_sigma(raw_p, form))
    return tl.where(small & small_p, both, d), tl.where(small, tl.where(small_p, h_both, h_mixed), h)


@triton.jit
def _variance_ratio(raw, raw_p, form):
    v, v_p = scale_forms.variance(raw, form), scale_forms.variance(raw_p, form)
    d = (v - v_p) / v_p
    if form.parameterization == "variance":
        return d, _deficit(d, log_quotient(v, v_p))
    else:
        a, b = scale_forms.sigma(raw, form), scale_forms.sigma(raw_p, form)
        u = (a - b) / b
        d = tl.where(v + v_p < float("inf"), d, u * (u + 2.0))
        return d, _deficit(d, 2.0 * log_quotient(a, b))


@triton.jit
def variance_ratio(raw, raw_p, form):
    """(r - 1, r - 1 - log r) of r = sigma^2 / sigma_p^2; `raw_p` is None for sigma_p = 1."""
    if form.kind == "logarithm":
        s = scale_forms.log_sigma(raw, form)
        if raw_p is not None:
            s = s - scale_forms.log_sigma(raw_p, form)
        return _exponential_ratio(s)
    elif raw_p is None:
        if form.kind == "variance":
            d = _variance_less_one(raw, form)
        else:
            a = scale_forms.sigma(raw, form)
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
        return square_times_exp(value, -2.0 * scale_forms.log_sigma(raw, form))
    quotient = value / scale_forms.sigma(raw, form)
    if form.kind == "softplus":
        quotient = tl.where(scale_forms.is_exponential(raw), times_exp(value, -raw), quotient)
    square = quotient * quotient
    if form.kind == "variance":
        v = scale_forms.variance(raw, form)
        square = tl.where(v < float("inf"), value * (value / v), square)
    return square


@triton.jit
def over_variance(value, raw, form):
    """value / sigma^2."""
    if form.kind == "logarithm":
        return times_exp(value, -2.0 * scale_forms.log_sigma(raw, form))
    quotient = value / scale_forms.sigma(raw, form) / scale_forms.sigma(raw, form)
    if form.kind == "softplus":
        quotient = tl.where(scale_forms.is_exponential(raw), times_exp(value, -2.0 * raw), quotient)
    elif form.kind == "variance":
        v = scale_forms.variance(raw, form)
        quotient = tl.where(v < float("inf"), value / v, quotient)
    return quotient


@triton.jit
def log_abs_sigma(raw, form):
    """log |sigma|."""
    if form.kind == "logarithm":
        return scale_forms.log_sigma(raw, form)
    elif form.kind == "softplus":
        return tl.where(scale_forms.is_exponential(raw), raw, log(scale_forms.sigma(raw, form)))
    elif form.kind == "variance" and form.parameterization == "variance":
        return 0.5 * log(scale_forms.variance(raw, form))
    else:
        return log(tl.abs(scale_forms.sigma(raw, form)))
