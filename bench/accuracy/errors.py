"""The one measure of the report: an error relative to the result, but that of rounded inputs is forgiven.

An error is divided by |exact| and what the result would change by, per unit, were every input of floating point off by
a part of itself. Where the inputs determine a result well, that is its relative error within a small factor. Where they
cancel, as in sigmoid(x) - t near 0, no formula can be right beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

import torch
from torch import Tensor

Results = dict[str, Tensor]
"""Values and gradients by name, in the order of the op."""
Evaluate = Callable[[Mapping[str, Tensor]], Results]

_PART: Final = 2.0**-23
_DRAWS: Final = 2
WRONG: Final = 1e-2
"""An error above it leaves not even two digits."""


class Exact(NamedTuple):
    """A result in float64, and what its errors are divided by: infinite where the result is none of the dtype."""

    value: Tensor
    magnitude: Tensor


class Measured(NamedTuple):
    """The errors of one tensor.

    Attributes:
        elements: how many of them were compared.
        wrong: how many are off by more than `WRONG`, those that are not finite among them.
        not_finite: how many are NaN or infinite though the exact result is a number of the dtype.
    """

    elements: int
    worst: float
    median: float
    wrong: int
    not_finite: int


def exact(
    evaluate: Evaluate, tensors: Mapping[str, Tensor], fixed: Collection[str], dtypes: Mapping[str, torch.dtype]
) -> dict[str, Exact]:
    """The exact results of tensors of float64.

    Args:
        evaluate: in float64.
        fixed: inputs that are exact, such as counts.
        dtypes: of the results.
    """
    values = evaluate(tensors)
    magnitudes = {name: value.abs() for name, value in values.items()}
    generator = torch.Generator().manual_seed(1)
    for name, value in tensors.items():
        if name in fixed or not value.is_floating_point():
            continue
        changes = [evaluate({**tensors, name: _moved(value, generator)}) for _ in range(_DRAWS)]
        for result, own in values.items():
            largest = torch.stack([(each[result] - own).abs() / _PART for each in changes]).amax(0)
            magnitudes[result] = magnitudes[result] + largest.nan_to_num(nan=0, posinf=0)
    return {name: held(value, magnitudes[name], dtypes[name]) for name, value in values.items()}


def held(value: Tensor, magnitude: Tensor, dtype: torch.dtype) -> Exact:
    """The exact result where `dtype` holds it: not near its largest number; below its normal ones, errors count as
    absolute."""
    info = torch.finfo(dtype)
    # The least float16 is near enough to be met; that of the others is left to kernels that flush to 0.
    floor = info.tiny if dtype == torch.float16 else info.tiny / torch.finfo(torch.float32).eps
    magnitude = magnitude.clamp(min=floor)
    return Exact(value, torch.where(value.abs() <= info.max / 4, magnitude, math.inf))


def _moved(value: Tensor, generator: torch.Generator) -> Tensor:
    """Each element off by a part of itself, up or down; what is at most 1 may be a probability, and stays at most 1."""
    sign = 1 - 2 * torch.randint(2, value.shape, generator=generator)
    beyond = (value <= 1) & (value * (1 + _PART) > 1)
    return value * (1 + _PART * torch.where(beyond, -1, sign))


def measured(found: Tensor, known: Exact) -> Measured:
    """The errors of a result."""
    comparable = known.magnitude.isfinite()
    values = found.double()[comparable]
    error = ((values - known.value[comparable]).abs() / known.magnitude[comparable]).nan_to_num(
        nan=math.inf, posinf=math.inf
    )
    if not error.numel():
        return Measured(0, 0.0, 0.0, 0, 0)
    return Measured(
        error.numel(),
        error.max().item(),
        error.median().item(),
        int((error > WRONG).sum()),
        int((~values.isfinite()).sum()),
    )
