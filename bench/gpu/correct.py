"""No number is reported of an op that is wrong: a look at its results beside the reference in float64."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

import fastvae
from bench.ops import Function, Inputs

# Roundings of the result's own dtype, of the largest value.
_ROUNDINGS: Final = 4


def mistake(function: Function, inputs: Inputs) -> str | None:
    """What is wrong with the outputs and gradients of a function of `fastvae.functional`; None where nothing is.

    Both draw the same seed, from which the reference makes its own noise.
    """
    with fastvae.use_backend("reference"):
        exact = _results(function, inputs.to(torch.float64))
    for name, (found, expected) in _pairs(_results(function, inputs), exact).items():
        error = _error(found, expected)
        limit = _ROUNDINGS * torch.finfo(found.dtype).eps
        if not error <= limit:
            return f"{name}: error {error:.2e}, takes at most {limit:.2e}"
    return None


def _results(function: Function, inputs: Inputs) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    torch.manual_seed(0)
    outputs = function(*inputs.differentiable, *inputs.constant)
    upstream = [
        torch.ones_like(output) if gradient is None else gradient
        for output, gradient in zip(outputs, inputs.upstream, strict=True)
    ]
    return outputs, torch.autograd.grad(outputs, inputs.differentiable, upstream)


def _pairs(
    found: tuple[tuple[Tensor, ...], tuple[Tensor, ...]], exact: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
) -> dict[str, tuple[Tensor, Tensor]]:
    return {
        f"{kind} {index}": pair
        for kind, mine, theirs in zip(("output", "gradient"), found, exact, strict=True)
        for index, pair in enumerate(zip(mine, theirs, strict=True))
    }


def _error(found: Tensor, exact: Tensor) -> float:
    """The largest error over the largest value."""
    if found.shape != exact.shape:
        return math.inf
    return ((found.detach().double() - exact).abs().max() / exact.detach().abs().max()).item()
