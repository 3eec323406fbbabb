"""Functions whose results are sums over pairs, or of several functions: no element of them is alone.

Their standard is the reference of the whole, on the operands and on a few that are moved by less than a thousandth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from fastvae import reference
from tests.fuzz.cases import Case
from tests.fuzz.terms import Parts, Terms, copies

WHOLE: Final = ("importance_weighted_bound", "minibatch_log_densities", "log_normal_mixture", "vae_loss")


def whole(case: Case, tensors: Mapping[str, Tensor], upstreams: Mapping[int, Tensor]) -> Parts:
    """Outputs and gradients, ``[copies, ...]``, each a single term."""
    elements = max(value.numel() for value in tensors.values())
    moved = copies(tensors, elements, most=6)
    rows = [
        _evaluated(case, {name: value[i] for name, value in moved.items()}, upstreams) for i in range(_count(moved))
    ]
    stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    # Any output may depend on any element.
    outputs = torch.stack([value[:1].sum() for name, value in stacked.items() if name.startswith("output")]).sum()
    result: Parts = {}
    for name, value in stacked.items():
        of = outputs.expand_as(value) if name.startswith("gradient") else None
        result[name] = [Terms(value, lambda terms: terms, of, _least(case, name, upstreams), _units(case))]
    return result


def _units(case: Case) -> float:
    """Beside those of one element, the random walk of a sum over the dimensions of a point, term after term."""
    if case.op not in ("minibatch_log_densities", "log_normal_mixture"):
        return 4.0
    return 4.0 + math.sqrt(math.prod(case.operands["mu"].shape[1:]))


def _least(case: Case, name: str, upstreams: Mapping[int, Tensor]) -> float:
    """Logarithms of sums of order 1 may be 0, and gradients of weights, which are differences of probabilities."""
    if case.op == "vae_loss":
        return 0.0
    if name.startswith("output"):
        points = next(iter(case.operands.values())).shape[: case.options.get("batch_dims", 1)]
        return float(math.prod(points)) if case.options.get("reduction") == "sum" else 1.0
    return float(sum(upstream.abs().sum() for upstream in upstreams.values())) if name.endswith("log_weights") else 0.0


def _count(moved: Mapping[str, Tensor]) -> int:
    return len(next(iter(moved.values())))


def _evaluated(case: Case, tensors: Mapping[str, Tensor], upstreams: Mapping[int, Tensor]) -> dict[str, Tensor]:
    leaves = {name: value.detach().requires_grad_(name in case.wanted) for name, value in tensors.items()}
    result = getattr(reference, case.op)(**leaves, **case.options)
    outputs = result if isinstance(result, tuple) else (result,)
    found = {f"output {index}": output.detach() for index, output in enumerate(outputs)}
    if case.wanted:
        gradients = torch.autograd.grad(
            [outputs[index] for index in upstreams], [leaves[name] for name in case.wanted],
            [upstream.to(outputs[index].dtype) for index, upstream in upstreams.items()], allow_unused=True,
        )  # fmt: skip
        for name, gradient in zip(case.wanted, gradients, strict=True):
            found[f"gradient of {name}"] = torch.zeros_like(leaves[name]) if gradient is None else gradient
    return found
