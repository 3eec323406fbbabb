"""The elementary functions of the Triton kernels, in units of the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae._triton import elementary, exponential, logarithm, logistic

COUNT = 16384


def log_of_sum(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[float, float]]] = {
    "log1p_unit": (torch.log1p, (0.0, 1.0)),
    "exp": (torch.exp, (-86.0, 88.0)),
    "fast_exp_of_negative": (torch.exp, (-87.0, 0.0)),
    "log": (torch.log, (0.4, 2.5)),
    "softplus": (log_of_sum, (-60.0, 60.0)),
    "sigmoid": (torch.sigmoid, (-60.0, 60.0)),
    "log1m": (lambda x: torch.log1p(-x), (1e-6, 1 - 1e-6)),
    "log_of_probability": (torch.log, (1e-30, 1.0)),
    "log_of_complement": (lambda x: torch.log1p(-x), (1e-6, 1 - 1e-6)),
    "reciprocal": (torch.reciprocal, (1e-30, 1.0)),
}


@triton.jit
def _evaluate(x, y, function: tl.constexpr, count: tl.constexpr):
    index = tl.arange(0, count)
    tl.store(y + index, function(tl.load(x + index)))


@triton.jit
def _evaluate_three(x, y, function: tl.constexpr, count: tl.constexpr):
    index = tl.arange(0, count)
    first, second, third = function(tl.load(x + index))
    tl.store(y + index, first)
    tl.store(y + count + index, second)
    tl.store(y + 2 * count + index, third)


def function_of(name: str) -> Any:
    """The device function of this name."""
    return next(getattr(each, name) for each in (elementary, exponential, logarithm, logistic) if hasattr(each, name))


def evaluate(name: str, x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    with np.errstate(all="ignore"):
        _evaluate[(1,)](x, y, function=function_of(name), count=x.numel())
    return y


def evaluate_three(name: str, x: Tensor) -> Tensor:
    """The values of a function that has three."""
    y = x.new_empty(3, x.numel())
    with np.errstate(all="ignore"):
        _evaluate_three[(1,)](x, y, function=function_of(name), count=x.numel())
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


def near_zero(half_width: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Numbers of all magnitudes and both signs, and the same in float64."""
    magnitude = half_width * torch.logspace(-6, 0, COUNT // 2, dtype=torch.float64)
    x = torch.cat([magnitude, -magnitude]).to(dtype)
    return x, x.double()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log1p_deficit_loses_nothing_near_zero(dtype: torch.dtype) -> None:
    """x - ln(1 + x), against its power series summed to its end."""
    x, wide = near_zero(0.4, dtype)
    exact = sum((-wide) ** power / power for power in range(50, 1, -1))
    assert ((evaluate("log1p_deficit", x).double() - exact).abs() <= 4 * torch.finfo(dtype).eps * exact.abs()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exp_less_one_loses_nothing_near_zero(dtype: torch.dtype) -> None:
    """e^x, e^x - 1 and e^x - 1 - x, the last against its power series summed to its end."""
    x, wide = near_zero(0.5, dtype)
    remainder = sum(wide**power / float(math.factorial(power)) for power in range(50, 1, -1))
    for value, exact in zip(evaluate_three("exp_less_one", x), (wide.exp(), wide.expm1(), remainder), strict=True):
        assert ((value.double() - exact).abs() <= 2 * torch.finfo(dtype).eps * exact.abs()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exp_less_one_is_e_to_the_x_everywhere(dtype: torch.dtype) -> None:
    x = torch.linspace(-86.5, 88.7, COUNT, dtype=torch.float64).to(dtype)
    exact = x.double().exp()
    units = 1 if dtype == torch.float32 else 3
    error = (evaluate_three("exp_less_one", x)[0].double() - exact).abs()
    assert (error <= units * torch.finfo(dtype).eps * exact).all()


def test_exp_less_one_at_special_points() -> None:
    x = torch.tensor([-math.inf, -104.0, -88.0, 0.0, 88.8, 200.0, math.inf, math.nan])
    e, u, q = evaluate_three("exp_less_one", x)
    assert e[:3].tolist() == [0.0, 0.0, 0.0]
    assert (e[3], u[3], q[3]) == (1.0, 0.0, 0.0)
    assert e[4:7].tolist() == [math.inf] * 3
    assert e[7].isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logarithms_of_probabilities_at_the_ends(dtype: torch.dtype) -> None:
    """Denormals, the greatest number below 1, and both ends, where they only are below -100."""
    tiny, eps = torch.finfo(dtype).smallest_normal, torch.finfo(dtype).eps
    x = torch.tensor([tiny * eps, tiny / 3, tiny, 0.5, 1 - eps / 2, 1.0, 0.0, 0.0], dtype=dtype)
    wide = x.double()
    logarithm, complement = evaluate("log_of_probability", x).double(), evaluate("log_of_complement", x).double()
    for value, exact in ((logarithm, wide.log()), (complement, torch.log1p(-wide))):
        inside = exact.isfinite()
        assert ((value - exact).abs() <= 3 * eps * exact.abs())[inside].all()
    assert logarithm[6] < -100
    assert complement[5] < -100


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("exp", {-math.inf: 0.0, -104.0: 0.0, 0.0: 1.0, 88.8: math.inf, math.inf: math.inf, math.nan: math.nan}),
        ("fast_exp_of_negative", {-math.inf: 0.0, -104.0: 0.0, 0.0: 1.0, math.nan: math.nan}),
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
