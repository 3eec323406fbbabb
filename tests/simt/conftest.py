"""What a run on the machine says of itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.kept import KEPT


@pytest.fixture
def noted(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Say it under the run, and in a file that is kept."""

    def note(name: str, line: str) -> None:
        record_property("note", line)
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"{name}.txt").write_text(f"{line}\n")

    return note
