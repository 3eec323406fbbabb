"""What the results of a case are held to, from its terms in two precisions.

As `tests.support.oracle` compares sums of weights, a result may be off by twice the error of the reference in the same
precision and four units in the last place: among a hundred thousand cases many have few elements, from which that error
is not known better. NaN and infinities are where that reference, or the exact one, has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from tests.fuzz.cases import Case
from tests.fuzz.terms import Terms, pointwise, posterior
from tests.fuzz.whole import WHOLE, whole

_UNITS_OF_FLOAT64 = 2 * 2.0**-52 / 2.0**-23
"""Nothing is more exact than float64: torch's error is that in float32, in units, once for each of the two results."""


class Standard(NamedTuple):
    """The exact result, the kinds of number it may be (see `_kinds`), and its largest error where all are finite."""

    exact: Tensor
    dtype: torch.dtype
    kinds: tuple[Tensor, Tensor]
    any_kind: Tensor
    any_limit: Tensor
    own: float
    allowed: float

    def why_refused(self, fused: Tensor) -> str | None:
        """What is wrong with a result; None where nothing is."""
        if fused.shape != self.exact.shape or fused.dtype != self.dtype:
            return f"{fused.dtype} {list(fused.shape)}, not {self.dtype} {list(self.exact.shape)}"
        kinds, (exactly, rounded) = _kinds(fused), self.kinds
        wrong = (kinds != exactly) & (kinds != rounded) & ~self.any_kind & ~(self.any_limit & (kinds != 0))
        if wrong.any():
            at = tuple(wrong.nonzero()[0].tolist())
            return f"{fused[at].item()} at {at}, exactly {self.exact[at].item()}"
        comparable = (kinds == 0) & (exactly == 0) & (rounded == 0) & ~self.any_limit
        error = torch.where(comparable, fused.double() - self.exact, 0).abs()
        if _largest(error) <= self.allowed:
            return None
        at = tuple((error == error.max()).nonzero()[0].tolist())
        return (
            f"{fused[at].item()} at {at}, exactly {self.exact[at].item()}: error {error[at].item():.3e}, allowed "
            f"{self.allowed:.3e}, of which torch's own {self.own:.3e}"
        )


def standards(case: Case, tensors: Mapping[str, Tensor], upstreams: Mapping[int, Tensor]) -> dict[str, Standard]:
    """The standard of every output of a case, and of every gradient that is wanted."""
    first = next(iter(tensors.values())).dtype
    compute = torch.float64 if first == torch.float64 else torch.float32
    # An operand of another dtype is read in that of the arithmetic.
    read = _cast(tensors, compute)
    single = _cast(_cast(read, torch.float32), torch.float64)
    infinite = any(bool(value.isinf().any()) for value in read.values() if value.is_floating_point())
    decompose = whole if case.op in WHOLE else posterior if "kl" in case.op or "reparam" in case.op else pointwise
    narrow, near = decompose(case, _cast(read, torch.float32), upstreams), decompose(case, single, upstreams)
    wide = decompose(case, read, upstreams) if compute == torch.float64 else near
    units = _UNITS_OF_FLOAT64 if compute == torch.float64 else 1.0
    for name in case.wanted:
        if f"gradient of {name}" not in wide:
            # It has none where only another output's gradient came back.
            none = [Terms(torch.zeros(1, *tensors[name].shape), lambda terms: terms)]
            wide[f"gradient of {name}"] = near[f"gradient of {name}"] = narrow[f"gradient of {name}"] = none
    return {
        name: _standard(wide[name], near[name], narrow[name], units, compute, _dtype(case, name, compute), infinite)
        for name in wide
    }


def _dtype(case: Case, name: str, compute: torch.dtype) -> torch.dtype:
    """Gradients have that of their operand, samples that of the mean, losses that of the arithmetic."""
    if name.startswith("gradient"):
        return case.operands[name.removeprefix("gradient of ")].dtype
    sample = case.op.startswith("reparameterize") and name == "output 0"
    return next(iter(case.operands.values())).dtype if sample else compute


def _standard(
    wide: list[Terms],
    near: list[Terms],
    narrow: list[Terms],
    units: float,
    compute: torch.dtype,
    dtype: torch.dtype,
    infinite: bool,
) -> Standard:
    exact, rounded, sizes = _total(wide), _total(narrow), _total(wide, torch.abs).clamp(min=wide[0].least)
    errors = [one.total((one.values.double() - other.values).abs()) for one, other in zip(near, narrow, strict=True)]
    own = units * sum(map(_largest, errors))
    kinds = _kinds(exact.to(dtype)), _kinds(rounded.to(compute).to(dtype))
    unit = max(torch.finfo(dtype).eps, torch.finfo(compute).eps)
    comparable = (kinds[0] == 0) & (kinds[1] == 0)
    allowed = 2 * own + wide[0].units * unit * _largest(torch.where(comparable, sizes, 0)) + torch.finfo(dtype).tiny
    # Partial sums may be beyond the range where the whole is not.
    any_kind = sizes > torch.finfo(torch.float32).max / 4 if compute == torch.float32 else kinds[0] < -1
    any_limit = kinds[0] < -1
    if wide[0].output is not None:
        unknown, beyond = (
            sum(part.total(of(part.output[:1]).double())[0] for part in wide) > 0 for of in (torch.isnan, torch.isinf)
        )
        # The gradient of what is not finite need not be; the reference loses limits, where it multiplies by zeros.
        any_limit = unknown | beyond
        any_kind = any_kind | ((beyond | infinite) & ((kinds[0] == 2) | (kinds[1] == 2)))
    return Standard(exact, dtype, kinds, any_kind, any_limit, own, allowed)


def _cast(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors.items()}


def _total(parts: list[Terms], of: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """The sum of the terms themselves, not of their copies."""
    first, *others = (
        part.total((part.values[:1] if of is None else of(part.values[:1])).double())[0] for part in parts
    )
    return sum(others, first)


def _kinds(values: Tensor) -> Tensor:
    """0 where finite, 1 and -1 where infinite, 2 where NaN."""
    return torch.where(values.isnan(), 2, torch.where(values.isinf(), values.sign(), 0).nan_to_num(0)).int()


def _largest(values: Tensor) -> float:
    finite = values.nan_to_num(0, 0, 0)
    return finite.abs().max().item() if finite.numel() else 0.0
