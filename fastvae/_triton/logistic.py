"""The logistic function and its integral."""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton.elementary import reciprocal
from fastvae._triton.exponential import exp
from fastvae._triton.logarithm import log1p_unit


@triton.jit
def sigmoid(x):
    """1 / (1 + e^-x)."""
    return sigmoid_of_exp(x, exp(-tl.abs(x)))


@triton.jit
def sigmoid_of_exp(x, e):
    """1 / (1 + e^-x), where e is e^-|x|."""
    return reciprocal(1.0 + e) * tl.where(x >= 0.0, 1.0, e)


@triton.jit
def softplus(x):
    """ln(1 + e^x); its derivative is `sigmoid`."""
    return tl.where(x > 0.0, x, 0.0) + log1p_unit(exp(-tl.abs(x)))
