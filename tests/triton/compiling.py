"""Compiling for four devices takes minutes, so it begins beside the first tests where it will be asked for."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor

from bench import compile_report
from bench.compile_report import Row


class Compiling:
    """The rows of the compile report, begun once and waited for when they are read."""

    def __init__(self) -> None:
        self._rows: Future[list[Row]] | None = None

    def begin(self) -> None:
        """Start, unless that was done."""
        if self._rows is None:
            pool = ThreadPoolExecutor(max_workers=1)
            self._rows = pool.submit(_rows)
            pool.shutdown(wait=False)

    def rows(self) -> list[Row]:
        """All of them."""
        self.begin()
        assert self._rows is not None
        return self._rows.result()


def _rows() -> list[Row]:
    # One at a time, and only where nobody else computes: the tests need both processors now and then.
    os.nice(19)
    with tempfile.TemporaryDirectory() as cache:
        return compile_report.measure(environment={**os.environ, "TRITON_CACHE_DIR": cache}, at_once=1)
