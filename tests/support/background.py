"""Work in other processes that tests wait for: compilers, and commands in fresh interpreters.

A test module lists it in `BACKGROUND`. It begins when the tests are collected, one after the other on what the tests
leave of a second core; what is asked for before its turn is done at once. On one core nothing is gained or lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Generic, TypeVar

import pytest

# What is compiled is kept from run to run, in what git ignores; it is found again by all that it was made from.
KEPT: Final = Path(__file__).parents[2] / "build" / "tests"
_POOL: Final = ThreadPoolExecutor(max_workers=1, initializer=os.nice, initargs=(5,))

Result = TypeVar("Result")


class Background(Generic[Result]):
    """`work()`, done once, for the tests of its module that are slow or for those that are not."""

    def __init__(self, work: Callable[[], Result], *, slow: bool = False) -> None:
        self.slow = slow
        self._work = work
        self._future: Future[Result] | None = None

    def begin(self) -> None:
        """Take its turn."""
        self._future = _POOL.submit(self._work)

    def result(self) -> Result:
        """What `work` returned."""
        if self._future is None or self._future.cancel():
            self._future = Future()
            try:
                self._future.set_result(self._work())
            except Exception as error:
                self._future.set_exception(error)
        return self._future.result()


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    selected = dict.fromkeys((item.module, item.get_closest_marker("slow") is not None) for item in session.items)
    for module, slow in selected:
        for work in getattr(module, "BACKGROUND", ()):
            if work.slow == slow:
                work.begin()


def pytest_sessionfinish() -> None:
    """Nobody waits for the rest of a run that was stopped."""
    _POOL.shutdown(wait=False, cancel_futures=True)
