"""Every third variant that is compiled, launched once on the machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simt.test_compiled import executed

pytestmark = pytest.mark.minutes(2)


@pytest.mark.slow
def test_variants_touch_only_their_own(noted: Callable[[str, str], None]) -> None:
    """All of them take a core four minutes."""
    line, _, variants = executed("-p", "tests.gpu.conftest", "tests/simt/of_variants.py", every=3)
    noted("variants executed", line)
    assert variants >= 50
