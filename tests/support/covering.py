"""Covering arrays: few cases in which every combination of a few axes' values still occurs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Case = dict[str, Any]


def covering(
    strength: int, axes: Mapping[str, Sequence[Any]], valid: Callable[[Case], bool] = lambda case: True, seed: int = 0
) -> list[Case]:
    """Cases in which every valid combination of values of any `strength` axes occurs at least once.

    `valid` is asked about partial cases too, and must accept those that some full case completes.
    """
    generator = random.Random(seed)
    missing = {
        tuple(zip(names, values, strict=True))
        for names in itertools.combinations(axes, strength)
        for values in itertools.product(*(axes[name] for name in names))
        if valid(dict(zip(names, values, strict=True)))
    }
    cases = []
    for wish in sorted(missing, key=repr):
        if wish not in missing:
            continue
        case = dict(wish)
        for name in generator.sample([name for name in axes if name not in case], len(axes) - strength):
            choices = [value for value in axes[name] if valid({**case, name: value})]
            gains = [_gain(missing, axes, {**case, name: value}, name, strength) for value in choices]
            best = max(gains)
            case[name] = generator.choice([v for v, gain in zip(choices, gains, strict=True) if gain == best])
        cases.append({name: case[name] for name in axes})
        missing -= set(_combinations(axes, case, strength))
    return cases


def _combinations(axes: Mapping[str, Any], case: Case, strength: int) -> list[tuple[Any, ...]]:
    chosen = [(name, case[name]) for name in axes if name in case]
    return list(itertools.combinations(chosen, strength))


def _gain(missing: set[Any], axes: Mapping[str, Any], case: Case, name: str, strength: int) -> int:
    return sum(1 for combination in _combinations(axes, case, strength) if combination in missing)


def label(case: Case) -> str:
    """A readable pytest id."""
    return "-".join(str(value).removeprefix("torch.") for value in case.values())
