"""The kernels compiled for arm64 and run under qemu: what `python -m tools.checks.arm` does, of the noise alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.checks import arm

pytestmark = [pytest.mark.minutes(2), pytest.mark.slow]
LACKS = arm.missing("arm64")


@pytest.mark.skipif(bool(LACKS), reason=f"needs {LACKS}")
def test_the_noise_has_the_same_bits_on_arm64(tmp_path: Path) -> None:
    folder = arm.build("arm64", tmp_path, "None", "-O1")
    assert arm.run("arm64", folder, "default", arm.NOISE) == "default: 3 tests, 140 checks, 0 failures"
