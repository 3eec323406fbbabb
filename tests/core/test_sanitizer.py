"""The C++ under sanitizers, which see what happens to go well: a part of ``python -m tools.checks.sanitizers``."""

from __future__ import annotations

import shutil

import pytest

from tests.core.units import supported
from tools.checks import sanitizers

pytestmark = [pytest.mark.minutes(3), pytest.mark.slow]


def test_no_kernel_and_no_binding_errs() -> None:
    folder = sanitizers.build("address", ["default"], extension=True)
    for found in (
        sanitizers.run_native("address", "default", folder),
        sanitizers.run_extension(folder, ("packed", "reductions", "special_values", "inplace_memory")),
    ):
        assert found.passed, found.output[-3000:]


@pytest.mark.skipif(shutil.which("setarch") is None, reason="needs setarch, of util-linux")
def test_no_kernel_races() -> None:
    unit = supported()[-1]
    found = sanitizers.run_native("thread", unit, sanitizers.build("thread", [unit]))
    assert found.passed, found.output[-3000:]
