"""Settings every test shares."""

import os
from typing import Final

import pytest

# Triton reads it once, when it is first imported: kernels run on CPU tensors in its interpreter.
os.environ.setdefault("TRITON_INTERPRET", "1")

from compiling import Compiling

_COMPILING: Final = Compiling()


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly and any("compiling" in item.fixturenames for item in session.items):
        _COMPILING.begin()


@pytest.fixture(scope="session")
def compiling() -> Compiling:
    return _COMPILING
