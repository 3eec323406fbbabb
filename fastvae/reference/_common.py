"""What the reference functions share: the compute dtype, scale forms, targets and reductions."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae._options import ScaleForm
from fastvae._outputs import compute_dtype


def upcast(value: Tensor, like: Tensor) -> Tensor:
    return value.to(compute_dtype(like))


def clamped(raw: Tensor, form: ScaleForm) -> Tensor:
    return raw.clamp(form.low, form.high) if form.clamped else raw


def log_variance(raw: Tensor, form: ScaleForm) -> Tensor | None:
    """log sigma^2 where the form gives it without a logarithm, else None."""
    if form.min_std or form.min_var:
        return None
    if form.parameterization == "logvar":
        return clamped(raw, form)
    if form.parameterization == "log_std":
        return 2 * clamped(raw, form)
    return None


def _softplus(raw: Tensor) -> Tensor:
    """log(1 + e^raw) exactly: torch.nn.functional.softplus turns linear above 20."""
    return torch.logaddexp(raw, torch.zeros_like(raw))


def std(raw: Tensor, form: ScaleForm) -> Tensor:
    """sigma, with its sign where the form has one."""
    raw = clamped(raw, form)
    sigma = {
        "logvar": lambda: torch.exp(0.5 * raw),
        "log_std": lambda: torch.exp(raw),
        "std": lambda: raw,
        "softplus": lambda: _softplus(raw),
        "variance": lambda: torch.sqrt(raw),
    }[form.parameterization]()
    if form.min_std:
        return sigma + form.min_std
    if form.min_var:
        return torch.sqrt(variance_without_floor(raw, form) + form.min_var)
    return sigma


def variance_without_floor(raw: Tensor, form: ScaleForm) -> Tensor:
    """sigma^2 of an already clamped `raw`, before a `min_var`."""
    return {
        "logvar": lambda: torch.exp(raw),
        "log_std": lambda: torch.exp(2 * raw),
        "std": lambda: raw * raw,
        "softplus": lambda: _softplus(raw).square(),
        "variance": lambda: raw,
    }[form.parameterization]()


def variance(raw: Tensor, form: ScaleForm) -> Tensor:
    if form.min_std:
        return std(raw, form).square()
    return variance_without_floor(clamped(raw, form), form) + form.min_var


def target_values(target: Tensor, like: Tensor) -> Tensor:
    """The target as numbers: uint8 is read as value / 255, bool as 0 and 1."""
    value = target.to(compute_dtype(like))
    return value / 255 if target.dtype == torch.uint8 else value


def reduce(loss: Tensor, reduction: str, batch_dims: int) -> Tensor:
    """One of the five reductions over a loss of `[batch, ...]`."""
    if reduction == "none":
        return loss
    if reduction == "sample":
        return loss if loss.dim() == batch_dims else loss.flatten(batch_dims).sum(-1)
    if reduction == "mean":
        return loss.mean()
    total = loss.sum()
    return total / loss.shape[:batch_dims].numel() if reduction == "batchmean" else total
