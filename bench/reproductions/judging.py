"""What a figure must be, and whether it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

NOT_RUN = "not run"


class Must(Protocol):
    """A bound on one figure; its text says which."""

    def holds(self, value: float) -> bool:
        """Whether `value` keeps within it."""


class Above(NamedTuple):
    """Greater than `bound`."""

    bound: float

    def holds(self, value: float) -> bool:
        """See `Must`."""
        return value > self.bound

    def __str__(self) -> str:
        return f"above {self.bound:g}"


class Below(NamedTuple):
    """Less than `bound`."""

    bound: float

    def holds(self, value: float) -> bool:
        """See `Must`."""
        return value < self.bound

    def __str__(self) -> str:
        return f"below {self.bound:g}"


class Within(NamedTuple):
    """At most `tolerance` from `figure`."""

    tolerance: float
    figure: float

    def holds(self, value: float) -> bool:
        """See `Must`."""
        return abs(value - self.figure) <= self.tolerance

    def __str__(self) -> str:
        return f"within {self.tolerance:g} of {self.figure:g}"


class Order(NamedTuple):
    """A figure that must grow from each run to the next.

    Attributes:
        figure: its name.
        runs: names, from the run with the least to the one with the most.
        says: the same in words.
    """

    figure: str
    runs: tuple[str, ...]
    says: str


def verdict(holds: bool | None) -> str:
    """In words; None is what could not be judged."""
    return NOT_RUN if holds is None else "holds" if holds else "does not hold"


def judged(must: Must, value: float | None) -> bool | None:
    """Whether `value` is what it must be; None where there is none."""
    return None if value is None else must.holds(value)


def grows(values: Sequence[float | None]) -> bool | None:
    """Whether each value is greater than the one before; None where one is missing."""
    found = [value for value in values if value is not None]
    if len(found) < len(values):
        return None
    return all(before < after for before, after in pairwise(found))
