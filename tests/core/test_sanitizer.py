"""The C++ under sanitizers, which see what happens to go well: a part of ``python -m tools.checks.sanitizers``.

Races are looked for by that command alone, which takes minutes more of a compiler.
"""

from __future__ import annotations

import pytest

from tools.checks import sanitizers

pytestmark = [pytest.mark.minutes(3), pytest.mark.slow]


def test_no_kernel_and_no_binding_errs() -> None:
    folder = sanitizers.build("address", ["default"], extension=True)
    for fault in sanitizers.TOOLS["address"].planted:
        assert not sanitizers.run_planted("address", fault, folder).passed, fault
    for found in (
        sanitizers.run_native("address", "default", folder),
        sanitizers.run_extension(folder, ("packed", "reductions", "special_values", "inplace_memory")),
    ):
        assert found.passed, found.output[-3000:]
