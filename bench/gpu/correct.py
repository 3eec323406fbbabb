"""No number is reported of an op that is wrong: a look at its results beside the reference in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

import fastvae
from bench.ops import ROUNDINGS, Function, Inputs


def mistake(function: Function, inputs: Inputs, roundings: int = ROUNDINGS) -> str | None:
    """What is wrong with the outputs and gradients of a function of `fastvae.functional`; None where nothing is.

    Both draw the same seed, from which the reference makes its own noise.

    Args:
        roundings: how many each result may be off, in units of eps relative to the largest of its kind.
    """
    with fastvae.use_backend("reference"):
        exact = _results(function, inputs.to(torch.float64))
    for name, found in _results(function, inputs).items():
        error = _error(found, exact[name])
        limit = roundings * torch.finfo(found.dtype).eps
        if not error <= limit:
            return f"{name}: error {error:.2e}, takes at most {limit:.2e}"
    return None


def _results(function: Function, inputs: Inputs) -> dict[str, Tensor]:
    torch.manual_seed(0)
    outputs = function(*inputs.differentiable, *inputs.constant)
    gradients = torch.autograd.grad(outputs, inputs.differentiable, inputs.upstream_of(outputs))
    kinds = {"output": outputs, "gradient": gradients}
    return {f"{kind} {index}": tensor for kind, found in kinds.items() for index, tensor in enumerate(found)}


def _error(found: Tensor, exact: Tensor) -> float:
    """The largest error over the largest value."""
    if found.shape != exact.shape:
        return math.inf
    return ((found.detach().double() - exact).abs().max() / exact.detach().abs().max()).item()
