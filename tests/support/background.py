"""Work that compiles for minutes: it begins beside the first tests where a test will ask for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

# What is compiled is kept from run to run, in what git ignores; it is found again by all that it was made from.
KEPT = Path(__file__).parents[2] / "build" / "tests"

Result = TypeVar("Result")


class Background(Generic[Result]):
    """`work()`, begun once, where nobody else computes, and waited for where it is asked for."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._begun: Future[Result] | None = None

    def begin(self) -> Background[Result]:
        """Start, unless that was done."""
        if self._begun is None:
            pool = ThreadPoolExecutor(max_workers=1, initializer=os.nice, initargs=(19,))
            self._begun = pool.submit(self._work)
            pool.shutdown(wait=False)
        return self

    def result(self) -> Result:
        self.begin()
        assert self._begun is not None
        return self._begun.result()
