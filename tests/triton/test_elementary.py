"""The elementary functions of the Triton kernels, in units of the last place."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae._triton import elementary

COUNT = 16384


def log_of_sum(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[float, float]]] = {
    "log1p_unit": (torch.log1p, (0.0, 1.0)),
    "exp": (torch.exp, (-86.0, 88.0)),
    "log": (torch.log, (0.4, 2.5)),
    "softplus": (log_of_sum, (-60.0, 60.0)),
    "sigmoid": (torch.sigmoid, (-60.0, 60.0)),
    "log1m": (lambda x: torch.log1p(-x), (1e-6, 1 - 1e-6)),
}


@triton.jit
def _evaluate(x, y, name: tl.constexpr, count: tl.constexpr):
    index = tl.arange(0, count)
    value = tl.load(x + index)
    if name == "log1p_unit":
        tl.store(y + index, elementary.log1p_unit(value))
    elif name == "exp":
        tl.store(y + index, elementary.exp(value))
    elif name == "log":
        tl.store(y + index, elementary.log(value))
    elif name == "softplus":
        tl.store(y + index, elementary.softplus(value))
    elif name == "sigmoid":
        tl.store(y + index, elementary.sigmoid(value))
    elif name == "log1m":
        tl.store(y + index, elementary.log1m(value))
    elif name == "exp_remainder":
        tl.store(y + index, elementary.exp_remainder(value))
    else:
        tl.store(y + index, elementary.log1p_deficit(value))


def evaluate(name: str, x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    with np.errstate(all="ignore"):
        _evaluate[(1,)](x, y, name=name, count=x.numel())
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_units_in_the_last_place(name: str, dtype: torch.dtype) -> None:
    function, (low, high) = FUNCTIONS[name]
    x = torch.linspace(low, high, COUNT, dtype=torch.float64).to(dtype)
    exact = function(x.double())
    error = (evaluate(name, x).double() - exact).abs()
    # In float64 torch's own result is a unit off, too.
    units = 2 if dtype == torch.float32 else 3
    assert (error <= units * torch.finfo(dtype).eps * exact.abs()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_over_all_magnitudes(dtype: torch.dtype) -> None:
    low, high = (-103.0, 88.0) if dtype == torch.float32 else (-700.0, 700.0)
    x = torch.exp(torch.linspace(low, high, COUNT, dtype=torch.float64)).to(dtype)
    error = (evaluate("log", x).double() - torch.log(x.double())).abs()
    assert (error <= 2 * torch.finfo(dtype).eps * torch.log(x.double()).abs()).all()


@pytest.mark.parametrize(("name", "half_width"), [("exp_remainder", 0.5), ("log1p_deficit", 0.4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_series_lose_nothing_near_zero(name: str, half_width: float, dtype: torch.dtype) -> None:
    """e^x - 1 - x and x - ln(1 + x), against their power series summed to its end."""
    magnitude = half_width * torch.logspace(-6, 0, COUNT // 2, dtype=torch.float64)
    x = torch.cat([magnitude, -magnitude]).to(dtype)
    wide, exact = x.double(), torch.zeros(COUNT, dtype=torch.float64)
    for power in range(50, 1, -1):
        exact += wide**power / float(math.factorial(power)) if name == "exp_remainder" else (-wide) ** power / power
    assert ((evaluate(name, x).double() - exact).abs() <= 4 * torch.finfo(dtype).eps * exact.abs()).all()


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("exp", {-math.inf: 0.0, -104.0: 0.0, 0.0: 1.0, 88.8: math.inf, math.inf: math.inf, math.nan: math.nan}),
        ("log", {0.0: -math.inf, -1.0: math.nan, 1.0: 0.0, math.inf: math.inf, math.nan: math.nan}),
        ("softplus", {-math.inf: 0.0, math.inf: math.inf, math.nan: math.nan}),
        ("sigmoid", {-math.inf: 0.0, 0.0: 0.5, math.inf: 1.0, math.nan: math.nan}),
        ("log1m", {0.0: 0.0, 1.0: -math.inf, 1.5: math.nan, math.nan: math.nan}),
        ("log1p_unit", {0.0: 0.0, math.nan: math.nan}),
    ],
)
def test_special_points(name: str, points: dict[float, float]) -> None:
    padded = [*points, *[1.0] * (8 - len(points))]
    values = evaluate(name, torch.tensor(padded))[: len(points)]
    torch.testing.assert_close(values, torch.tensor(list(points.values())), rtol=0, atol=0, equal_nan=True)
