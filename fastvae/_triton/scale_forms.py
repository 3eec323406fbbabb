"""What a raw scale tensor means on the device: sigma, its variance, and their derivatives.

`raw` is already clamped except where said. Forms whose logarithm is linear in `raw` never take one, so that nothing
cancels where a posterior nears its prior.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from fastvae._options import ScaleForm
from fastvae._triton.elementary import SHRINK_32, SHRINK_64, constant_like, sqrt
from fastvae._triton.exponential import exp
from fastvae._triton.logistic import sigmoid, softplus


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


def constant(form: ScaleForm) -> Form:
    """A scale form as kernels take it."""
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
def unfloored(raw, form):
    """sigma before any floor."""
    if form.parameterization == "logvar" or form.parameterization == "log_std":
        return exp(log_sigma(raw, form))
    elif form.parameterization == "softplus":
        return softplus(raw)
    elif form.parameterization == "variance":
        return sqrt(raw)
    else:
        tl.static_assert(form.parameterization == "std")
        return raw


@triton.jit
def _unfloored_variance(raw, form):
    if form.parameterization == "variance":
        return raw
    elif form.parameterization == "logvar" or form.parameterization == "log_std":
        return exp(2.0 * log_sigma(raw, form))
    else:
        value = unfloored(raw, form)
        return value * value


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
        shrink: tl.constexpr = SHRINK_64 if raw.dtype == tl.float64 else SHRINK_32
        shrunk = unfloored(raw, form) * shrink
        floor = constant_like(raw, form.min_var) * shrink * shrink  # a literal as small as this would be float64
        beyond = sqrt(shrunk * shrunk + floor) * (1.0 / shrink)
        return tl.where(squared < float("inf"), sqrt(squared), beyond)


@triton.jit
def sigma(raw, form):
    """sigma, with its sign where the form has one."""
    if form.min_var > 0.0:
        return _root(raw, form)
    elif form.min_std > 0.0:
        return unfloored(raw, form) + form.min_std
    else:
        return unfloored(raw, form)


@triton.jit
def _unfloored_slope(raw, form):
    if form.parameterization == "logvar":
        return 0.5 * unfloored(raw, form)
    elif form.parameterization == "log_std":
        return unfloored(raw, form)
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
        return 2.0 * unfloored(raw, form) * _unfloored_slope(raw, form)


@triton.jit
def sigma_slope(raw, form):
    """d sigma / d raw."""
    if form.min_var > 0.0:
        if form.parameterization == "variance":
            return 0.5 / sigma(raw, form)
        else:
            return (unfloored(raw, form) / sigma(raw, form)) * _unfloored_slope(raw, form)
    else:
        return _unfloored_slope(raw, form)


@triton.jit
def is_exponential(raw):
    """Where a softplus is e^raw to the last place: it vanishes there long before its logarithm is unusual."""
    return raw < (-40.0 if raw.dtype == tl.float64 else -17.0)


@triton.jit
def to_raw(value, raw, form):
    """value * d log sigma^2 / d raw.

    Without a floor sigma may be so small that its inverse is infinite; under one a tiny slope may meet a large value.
    """
    if form.kind == "logarithm":
        return value if form.parameterization == "logvar" else 2.0 * value
    elif form.kind == "variance":
        v = variance(raw, form)
        if form.min_var > 0.0:
            beyond = 2.0 * sigma_slope(raw, form) / sigma(raw, form)
            return value * tl.where(v < float("inf"), _variance_slope(raw, form) / v, beyond)
        else:
            return value / v
    elif form.min_std > 0.0:
        return value * (2.0 * sigma_slope(raw, form) / sigma(raw, form))
    else:
        along = 2.0 * (value * sigma_slope(raw, form) / sigma(raw, form))
        if form.kind == "softplus":
            along = tl.where(is_exponential(raw), 2.0 * value, along)
        return along
