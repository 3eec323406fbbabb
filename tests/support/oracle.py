"""The three-way oracle: an op fused, the reference in the same dtype, the reference in float64.

The fused error may exceed torch's own same-dtype error by one unit in the last place, both as maxima over a tensor:
``max |fused - exact| <= torch's error + eps * max magnitude``, relative to the magnitude where there are several draws.

Where a value is a sum, its magnitude is that of its terms, and torch's error is the larger of the one it made and of
the errors of its terms: a single sum can be right by luck. Where the dtype is float64 nothing is more exact: torch's
error is then the number of units it loses in float32, once for each of the two float64 results.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

import fastvae

Tensors = Mapping[str, Tensor]
Call = Callable[..., "Tensor | tuple[Tensor, ...]"]


def leaves(operands: Tensors, wanted: tuple[str, ...]) -> dict[str, Tensor]:
    """The operands with their strides, those wanted as leaves that require grad."""
    return {name: value.detach().requires_grad_(name in wanted) for name, value in operands.items()}


def outputs_of(call: Call, operands: Tensors, **options: object) -> tuple[Tensor, ...]:
    result = call(operands, **options)
    return result if isinstance(result, tuple) else (result,)


def upstreams_like(outputs: tuple[Tensor, ...], seed: int = 7) -> tuple[Tensor, ...]:
    """One random upstream gradient an output, of order 1."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        (0.5 + torch.rand(output.shape, generator=generator, dtype=torch.float64)).to(output) for output in outputs
    )


def evaluate(
    call: Call,
    operands: Tensors,
    wanted: tuple[str, ...],
    upstreams: tuple[Tensor, ...] | None = None,
    **options: object,
) -> dict[str, Tensor]:
    """The outputs of `call` and the gradients of the operands wanted, under `upstreams` (1 where None), by name."""
    tensors = leaves(operands, wanted)
    outputs = outputs_of(call, tensors, **options)
    results = {f"output {index}": output.detach() for index, output in enumerate(outputs)}
    if wanted:
        grads = upstreams or tuple(torch.ones_like(output) for output in outputs)
        grads = tuple(grad.to(output.dtype) for grad, output in zip(grads, outputs, strict=True))
        gradients = torch.autograd.grad(outputs, [tensors[name] for name in wanted], grads)
        results |= {f"gradient of {name}": gradient for name, gradient in zip(wanted, gradients, strict=True)}
    return results


class Standard(NamedTuple):
    """What one fused result is held to: its exact values and dtype, torch's own error and the unit, both relative."""

    exact: Tensor
    dtype: torch.dtype
    magnitude: float
    own_error: float
    unit: float

    def error_of(self, fused: Tensor) -> float:
        """The largest error as a fraction of the magnitude; infinite for a wrong shape or dtype."""
        if fused.shape != self.exact.shape or fused.dtype != self.dtype:
            return math.inf
        return _fraction(_largest(fused - self.exact), self.magnitude)


def why_refused(fused: Sequence[Tensor], standards: Sequence[Standard], units: int = 1) -> str | None:
    """Why the fused results of some draws of one operand are worse than the criterion allows; None where not."""
    error = _maximum(standard.error_of(value) for value, standard in zip(fused, standards, strict=True))
    own, unit = _maximum(standard.own_error for standard in standards), standards[0].unit
    if error <= own + units * unit:
        return None
    return f"error {error:.3e}, torch's own {own:.3e}, {units} x a unit in the last place {unit:.3e}"


class Reduced(NamedTuple):
    """How the loss of a call is reduced over elements of `shape`; no reduction where it has none."""

    shape: torch.Size
    reduction: str | None = None
    batch_dims: int = 1

    def options(self) -> dict[str, str]:
        return {} if self.reduction is None else {"reduction": self.reduction}

    def total(self, name: str, terms: Tensor, like: Tensor) -> Tensor:
        """Magnitudes of what the result `name`, shaped as `like`, sums."""
        if terms.shape == like.shape:
            return terms
        if name.startswith("gradient"):
            return terms.sum_to_size(like.shape)
        if self.reduction == "sample":
            return terms.flatten(self.batch_dims).sum(-1)
        divisor = {"mean": terms.numel(), "batchmean": terms.shape[: self.batch_dims].numel()}
        return terms.sum() / divisor.get(str(self.reduction), 1)


def standards(
    call: Call, operands: Tensors, wanted: tuple[str, ...], upstreams: tuple[Tensor, ...], reduced: Reduced
) -> dict[str, Standard]:
    """The standard of every result, from runs of the reference, some of which keep the terms of sums apart."""
    double = next(iter(operands.values())).dtype == torch.float64
    compute = torch.finfo(torch.float64 if double else torch.float32).eps
    single = _cast(operands, torch.float32) if double else operands
    units = 2 * compute / torch.finfo(torch.float32).eps if double else 1.0
    narrow, narrow_terms = _values_and_terms(call, single, wanted, upstreams, reduced)
    wide, wide_terms = _values_and_terms(call, _cast(single, torch.float64), wanted, upstreams, reduced)
    same = evaluate(call, operands, wanted, upstreams, **reduced.options())
    exact = evaluate(call, _cast(operands, torch.float64), wanted, upstreams, **reduced.options())
    result = {}
    for name, value in exact.items():
        errors = reduced.total(name, (narrow_terms[name] - wide_terms[name]).abs(), value)
        own = units * max(_largest(narrow[name] - wide[name]), _largest(errors))
        magnitude = _largest(reduced.total(name, wide_terms[name].abs(), value))
        result[name] = Standard(
            value,
            same[name].dtype,
            magnitude,
            _fraction(max(own, _largest(same[name] - value)), magnitude),
            max(torch.finfo(same[name].dtype).eps, compute),
        )
    return result


def three_way(
    call: Call, draws: Sequence[Tensors], wanted: tuple[str, ...], reduced: Reduced, *, unit_upstream: bool = False
) -> None:
    """Hold `call(operands, reduction=...)` on the fused backend to both references, its gradients included.

    One draw of the operands is enough where each has thousands of values; a single value, rounded once for all,
    needs several draws before torch's luck with it evens out.
    """
    fused, expected = [], []
    units = _units(next(iter(draws[0].values())))
    for operands in draws:
        with torch.no_grad():
            upstreams = upstreams_like(outputs_of(call, operands, **reduced.options()))
        if unit_upstream:
            upstreams = tuple(torch.ones_like(upstream) for upstream in upstreams)
        fused.append(evaluate(call, operands, wanted, upstreams, **reduced.options()))
        with fastvae.use_backend("reference"):
            expected.append(standards(call, operands, wanted, upstreams, reduced))
    refused = {
        name: why
        for name in fused[0]
        if (why := why_refused([draw[name] for draw in fused], [draw[name] for draw in expected], units))
    }
    assert not refused, refused


def _units(like: Tensor) -> int:
    """In the last place, that the fused result may be further off than torch's."""
    if like.device.type != "cpu" or fastvae._backend.requested() != "triton":
        return 1
    if os.environ.get("TRITON_INTERPRET") == "1":
        # It truncates to bfloat16, and takes its elementary functions from numpy.
        return 2
    # Where a machine gives the worst that the PTX ISA allows: an exponential or a logarithm, and a quotient of it, each
    # two units off.
    return 1 if os.environ.get("FASTVAE_PTX_APPROXIMATIONS", "nearest") == "nearest" else 5


def nearly_as_exact_as_torch(call: Call, draws: Sequence[Tensors], wanted: tuple[str, ...], times: float = 2) -> None:
    """Hold `call(operands)` to so many times torch's own error and four units: for sums of weights e^(v - log sum), of
    which each has the rounding of a large v."""
    fused, expected = [], []
    for operands in draws:
        with torch.no_grad():
            upstreams = upstreams_like(outputs_of(call, operands))
        fused.append(evaluate(call, operands, wanted, upstreams))
        with fastvae.use_backend("reference"):
            expected.append(standards(call, operands, wanted, upstreams, Reduced(torch.Size(()))))
    for name, standard in expected[0].items():
        error = _maximum(each[name].error_of(values[name]) for values, each in zip(fused, expected, strict=True))
        own = _maximum(each[name].own_error for each in expected)
        assert error <= times * own + 4 * standard.unit, (name, error, own, standard.unit)


def _values_and_terms(
    call: Call, operands: Tensors, wanted: tuple[str, ...], upstreams: tuple[Tensor, ...], reduced: Reduced
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    values = evaluate(call, operands, wanted, upstreams, **reduced.options())
    expanded = {
        name: value.expand(reduced.shape) if name in wanted and _broadcasts(value, reduced.shape) else value
        for name, value in operands.items()
    }
    terms = evaluate(call, expanded, wanted, upstreams, **reduced.options())
    if reduced.reduction is not None:
        elementwise = evaluate(call, operands, (), reduction="none")
        terms |= {name: part for name, part in elementwise.items() if part.shape == reduced.shape}
    return values, terms


def _broadcasts(value: Tensor, shape: torch.Size) -> bool:
    return value.shape != shape and value.numel() < shape.numel()


def _cast(operands: Tensors, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in operands.items()}


def _largest(values: Tensor) -> float:
    return values.double().abs().max().item() if values.numel() else 0.0


def _fraction(error: float, magnitude: float) -> float:
    return error / magnitude if magnitude else (math.inf if error else 0.0)


def _maximum(values: Iterable[float]) -> float:
    """The largest; NaN if any is."""
    return torch.tensor(list(values), dtype=torch.float64).max().item()
