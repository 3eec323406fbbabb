"""Every variant that `bench.compile_report` compiles, of smaller batches, on the machine. Run by test_variants.py.

Their operands are zeros: what is looked at is which memory they touch, and in which order. The machine comes with the
plugin tests.gpu.conftest.
"""

from __future__ import annotations

import os
from unittest import mock

import pytest

from bench.proofs.compiled import variants

SMALLER = mock.patch.object(variants, "_BATCH", 24)
with SMALLER:
    VARIANTS = list(variants.all_variants())[:: int(os.environ.get("FASTVAE_GPU_DRY_RUN_EVERY", "1"))]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_touches_only_its_own(variant: variants.Variant) -> None:
    with SMALLER:
        variant.run()
