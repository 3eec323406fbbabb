"""The backends that the tests of the ops run on: a test that names one of these fixtures runs once on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.backends import BACKENDS, KERNELS, on


@pytest.fixture(params=KERNELS)
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each implementation that is fused."""
    with on(request.param):
        yield request.param


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Those, and the reference."""
    with on(request.param):
        yield request.param
