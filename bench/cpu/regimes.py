"""The two regimes of the allocator that large tensors live under, decided by a process's environment.

``def`` is the C library's own: tensors above 32 MB come fresh from the kernel at each call and their first touch costs
more than any arithmetic. ``warm`` keeps freed memory in the process and measures the computation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from bench import QUIET


class Regime(NamedTuple):
    """Variables of the environment, and rounds until the allocator is settled."""

    variables: Mapping[str, str]
    warm_up: int


_KEPT: Final = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
# Aligned blocks of one size leave gaps of nearly that size: glibc needs about eight rounds to have enough of them.
REGIMES: Final = {"warm": Regime(_KEPT, 12), "def": Regime({}, 3)}


def environment(inherited: Mapping[str, str], regime: str, threads: int) -> dict[str, str]:
    """The environment of a worker."""
    kept = {name: value for name, value in inherited.items() if not name.startswith("MALLOC_")}
    return {**kept, **QUIET, **REGIMES[regime].variables, "OMP_NUM_THREADS": str(threads)}
