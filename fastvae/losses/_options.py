"""The options of the objective: their types, their checks, and what a preset decides of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypedDict

from torch import Tensor

from fastvae.losses._named import named
from fastvae.losses.density import Density
from fastvae.losses.schedules import Schedule
from fastvae.presets import Convention, convention

CustomLikelihood = Callable[[Any, Tensor], Tensor]
Weight = float | Tensor | Schedule


class ObjectiveKeywords(TypedDict, total=False):
    """The keywords of `fastvae.ELBOLoss`, which a model takes as well."""

    likelihood: str | CustomLikelihood | None
    beta: Weight
    free_bits: float
    free_bits_per: str
    capacity: Weight | None
    capacity_per: str | None
    kl_estimator: str | None
    preset: str | None
    total_correlation: Weight | None
    mutual_information: Weight
    dimension_kl: Weight
    dataset_size: int | None
    weighting: str | None
    reduction: str


def one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    """`value` is among `choices`."""
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}; takes one of {choices}")


def non_negative(name: str, value: float) -> float:
    """`value` is finite and at least 0."""
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name}: got {value!r}; takes a finite number of at least 0")
    return float(value)


def weight(name: str, value: object) -> Weight:
    """A float of at least 0, a 0-dim tensor or a schedule. A tensor's value is not read, which would wait for a GPU."""
    if isinstance(value, Schedule):
        return value
    if isinstance(value, Tensor):
        if value.dim() or not value.is_floating_point():
            raise ValueError(
                f"{name}: got a tensor of dtype {value.dtype} and shape {list(value.shape)}; takes a float, a 0-dim "
                "floating-point tensor or a schedule"
            )
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: got {type(value).__name__}; takes a float, a 0-dim tensor or a schedule")
    return non_negative(name, value)


def current(value: Weight) -> float | Tensor:
    """The weight of this step."""
    if isinstance(value, Schedule):
        scheduled: Tensor = value()
        return scheduled
    return value


def choose_convention(
    preset: str | None,
    *,
    free_bits: float,
    free_bits_per: str,
    capacity: object,
    capacity_per: str | None,
    kl_estimator: str | None,
) -> Convention:
    """The preset's, refusing options that it decides; without a preset, one of these options."""
    if preset is None:
        return Convention(
            kl_estimator=kl_estimator or "analytic",
            free_bits=non_negative("free_bits", free_bits),
            free_bits_per=free_bits_per,
            capacity_per=capacity_per or "batch",
        )
    chosen = convention(preset)
    decided = {
        "free_bits": free_bits or None,
        "free_bits_per": None if free_bits_per == "sample" else free_bits_per,
        "capacity": capacity if chosen.capacity_per is None else None,
        "capacity_per": capacity_per,
        "kl_estimator": kl_estimator,
    }
    for option, value in decided.items():
        if value is not None:
            raise ValueError(f"{option}: got {value!r} with preset={preset!r}, which decides it; takes the default")
    return chosen


def choose_likelihood(
    wanted: str | CustomLikelihood | None, preset: str | None, convention: Convention
) -> tuple[str | CustomLikelihood | None, float]:
    """The likelihood, or None where there is no reconstruction term, and the factor the convention puts on it."""
    if wanted is not None and not callable(wanted):
        found = named(wanted)
        wanted = found if isinstance(found, Density) else wanted
    if preset is None:
        return ("bernoulli" if wanted is None else wanted), 1.0
    if convention.likelihoods is None:
        if wanted is None:
            raise ValueError(f"likelihood: got None with preset={preset!r}; takes a name or a callable")
        return wanted, 1.0
    if wanted is None:
        return next(iter(convention.likelihoods), (None, 1.0))
    factors = dict(convention.likelihoods)
    if callable(wanted) or wanted not in factors:
        raise ValueError(f"likelihood: got {wanted!r} with preset={preset!r}; takes one of {tuple(factors)}")
    return wanted, factors[wanted]
