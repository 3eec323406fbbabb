"""Reconstruction losses: torch's values and gradients, one formula a function.

`inplace=True` is a permission the plain mathematics has no use for: values and gradients are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

from fastvae.reference import _common


def _loss(
    formula: Callable[[Tensor, Tensor], Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    batch_dims: int,
) -> Tensor:
    loss = formula(_common.upcast(input, input), _common.target_values(target, input))
    if weight is not None:
        loss = loss * _common.upcast(weight, input)
    return _common.reduce(loss, reduction, batch_dims)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    inplace: bool = False,
    batch_dims: int = 1,
) -> Tensor:
    def formula(x: Tensor, t: Tensor) -> Tensor:
        return torch_functional.binary_cross_entropy_with_logits(x, t, reduction="none")

    return _loss(formula, input, target, weight, reduction, batch_dims)


def binary_cross_entropy(
    input: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean", batch_dims: int = 1
) -> Tensor:
    def formula(p: Tensor, t: Tensor) -> Tensor:
        return torch_functional.binary_cross_entropy(p, t, reduction="none")

    return _loss(formula, input, target, weight, reduction, batch_dims)


def mse_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    inplace: bool = False,
    batch_dims: int = 1,
) -> Tensor:
    def formula(x: Tensor, t: Tensor) -> Tensor:
        return (x - t).square()

    return _loss(formula, input, target, weight, reduction, batch_dims)


def l1_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    inplace: bool = False,
    batch_dims: int = 1,
) -> Tensor:
    def formula(x: Tensor, t: Tensor) -> Tensor:
        return (x - t).abs()

    return _loss(formula, input, target, weight, reduction, batch_dims)


def gaussian_nll(
    input: Tensor,
    target: Tensor,
    log_scale: Tensor,
    *,
    weight: Tensor | None = None,
    full: bool = False,
    reduction: str = "mean",
    batch_dims: int = 1,
) -> Tensor:
    log_sigma = _common.upcast(log_scale, input)

    def formula(x: Tensor, t: Tensor) -> Tensor:
        constant = 0.5 * math.log(2 * math.pi) if full else 0.0
        return 0.5 * ((x - t) * torch.exp(-log_sigma)).square() + log_sigma + constant

    return _loss(formula, input, target, weight, reduction, batch_dims)


def poisson_nll(
    log_rate: Tensor,
    target: Tensor,
    *,
    log_input: bool = True,
    full: bool = True,
    weight: Tensor | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> Tensor:
    if not log_input:
        return poisson_nll_of_rate(
            log_rate, target, full=full, weight=weight, reduction=reduction, batch_dims=batch_dims
        )

    def formula(x: Tensor, t: Tensor) -> Tensor:
        return torch.exp(x) - t * x + (torch.lgamma(t + 1) if full else 0.0)

    return _of_counts(formula, log_rate, target, weight, reduction, batch_dims)


def poisson_nll_of_rate(
    rate: Tensor,
    target: Tensor,
    *,
    full: bool = True,
    weight: Tensor | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> Tensor:
    def formula(x: Tensor, t: Tensor) -> Tensor:
        return x - t * torch.log(x + 1e-8) + (torch.lgamma(t + 1) if full else 0.0)

    return _of_counts(formula, rate, target, weight, reduction, batch_dims)


def _of_counts(
    formula: Callable[[Tensor, Tensor], Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    batch_dims: int,
) -> Tensor:
    counts = _common.upcast(target, input) if target.dtype == torch.uint8 else target
    return _loss(formula, input, counts, weight, reduction, batch_dims)
