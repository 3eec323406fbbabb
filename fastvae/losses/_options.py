"""The options of the objective, checked: weights that may be tensors or schedules, and what a preset decides."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from fastvae._likelihoods import likelihood
from fastvae.losses.schedules import Schedule
from fastvae.presets import Preset, preset

CustomLikelihood = Callable[[Any, Tensor], Tensor]
Weight = float | Tensor | Schedule


def one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    """`value` is among `choices`."""
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}; takes one of {choices}")


def non_negative(name: str, value: float) -> float:
    """`value` is finite and at least 0."""
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name}: got {value!r}; takes a finite number of at least 0")
    return float(value)


def weight(name: str, value: Any) -> Weight:
    """A float of at least 0, a 0-dim tensor or a schedule. A tensor's value is not looked at."""
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


def preset_rule(
    name: str, *, free_bits: float, capacity: object, capacity_per: str | None, kl_estimator: str | None
) -> Preset:
    """The row called `name`, refusing options that contradict it."""
    rule = preset(name)
    conflicts = {
        "free_bits": free_bits or None,
        "capacity": capacity if rule.capacity_per is None else None,
        "capacity_per": capacity_per,
        "kl_estimator": kl_estimator,
    }
    for option, value in conflicts.items():
        if value is not None:
            raise ValueError(f"{option}: got {value!r} with preset={name!r}, which decides it; takes the default")
    return rule


def choose_likelihood(
    given: str | CustomLikelihood | None, preset_name: str | None, rule: Preset
) -> tuple[str | CustomLikelihood | None, float]:
    """The likelihood and the factor a preset puts on it; None without a reconstruction term."""
    if given is not None and not callable(given):
        likelihood(given)
    if preset_name is None:
        return ("bernoulli" if given is None else given), 1.0
    if rule.likelihoods is None:
        if given is None:
            raise ValueError(f"likelihood: got None with preset={preset_name!r}; takes a name or a callable")
        return given, 1.0
    if given is None:
        return next(iter(rule.likelihoods), (None, 1.0))
    factors = dict(rule.likelihoods)
    if callable(given) or given not in factors:
        raise ValueError(f"likelihood: got {given!r} with preset={preset_name!r}; takes one of {tuple(factors)}")
    return given, factors[given]
