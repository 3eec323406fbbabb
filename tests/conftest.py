"""Settings every test shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from bench.compile_report import Row
    from tests.core.assembly import Function

# Triton reads it once, when it is first imported: kernels run on CPU tensors in its interpreter.
os.environ.setdefault("TRITON_INTERPRET", "1")

from tests.support.background import Background
from tests.support.skipped import pytest_terminal_summary as pytest_terminal_summary


def _assembly() -> dict[str, list[Function]]:
    from tests.core.assembly import units

    return units()


def _compiled(*targets: str) -> list[Row]:
    from bench.compile_report import measure
    from tests.support.background import KEPT

    # One at a time: the tests need both processors now and then.
    return measure(targets, environment={**os.environ, "TRITON_CACHE_DIR": str(KEPT / "triton")}, at_once=1)


# By the name of the fixture.
_BACKGROUND: Final[dict[str, Background[Any]]] = {
    "assembly": Background(_assembly),
    "compiled": Background(partial(_compiled, "sm_90")),
    "compiled_elsewhere": Background(partial(_compiled, "sm_80", "sm_100", "gfx942")),
}


def pytest_collection_finish(session: pytest.Session) -> None:
    for name, work in _BACKGROUND.items():
        if not session.config.option.collectonly and any(name in item.fixturenames for item in session.items):
            work.begin()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For sizes that are too small to share, and for what sets the threads of this process."""
    # Imported here: torch may not be before the setting above.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without their pictures, which take longer to draw than a small model to train."""
    monkeypatch.setattr("fastvae.train.drawing.draw", lambda *run: [])


@pytest.fixture(scope="session")
def assembly() -> dict[str, list[Function]]:
    """The functions of every instruction-set unit of the C++ kernels."""
    return _BACKGROUND["assembly"].result()


@pytest.fixture(scope="session")
def compiled() -> list[Row]:
    """The Triton kernels as they are compiled for one GPU."""
    return _BACKGROUND["compiled"].result()


@pytest.fixture(scope="session")
def compiled_elsewhere() -> list[Row]:
    """The same for the other GPUs, which takes minutes."""
    return _BACKGROUND["compiled_elsewhere"].result()
