"""The variants that are compiled, launched once on the machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simt.test_compiled import executed

pytestmark = pytest.mark.minutes(2)


@pytest.mark.parametrize(
    ("every", "least"), [pytest.param(9, 17, marks=pytest.mark.slow), pytest.param(1, 150, marks=pytest.mark.nightly)]
)
def test_variants_touch_only_their_own(every: int, least: int, noted: Callable[[str, str], None]) -> None:
    """All of them take a core four minutes."""
    line, _, variants = executed("-p", "tests.gpu.conftest", "tests/simt/of_variants.py", every=every)
    noted("variants executed", line)
    assert variants >= least
