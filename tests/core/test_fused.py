"""The fused multiply-add of the noise contract rounds once: in numpy, and in C++ for processors that have none."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastvae.reference.fused import Floats, fma

# One part in 2^30 away from the middle between two floats: rounded to float64 first, that is the middle.
NEAR_TIES = [
    (sign * (1 + 2.0**-15) * 2.0**power, (1 + other * 2.0**-15) * 2.0**-12, sign * c * 2.0 ** (power + 12))
    for sign in (1, -1)
    for power in (-12, 0, 80)
    for other in (1, -1)
    for c in (1.0, 1 + 2.0**-23, -1.0, -(1 + 2.0**-23), 1 - 2.0**-24, 1.5, 1.5 + 2.0**-23)
]
# Of a product that is the middle itself, and a term too small for float64 to see.
NEAR_TIES += [(1 + 2.0**-12, 1 + 2.0**-12, tiny) for tiny in (2.0**-60, -(2.0**-60), 2.0**-140, -(2.0**-140), 0.0)]
NEAR_TIES += [(4097.0 * 2.0**-75, 4097.0 * 2.0**-75, tiny) for tiny in (2.0**-149, -(2.0**-149), 0.0)]  # denormal


def exact(a: float, b: float, c: float) -> float:
    """The float32 nearest to a * b + c, in rational arithmetic; of two, the one whose last bit is 0."""
    value = Fraction(a) * Fraction(b) + Fraction(c)
    near = np.float32(float(value))
    candidates = [near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))]
    finite = [each for each in candidates if np.isfinite(each)]
    return float(min(finite, key=lambda each: (abs(Fraction(float(each)) - value), int(each.view(np.uint32)) & 1)))


def rounded_twice(a: float, b: float, c: float) -> float:
    return float(np.float32(a * b + c))


def agrees(multiply_add: Callable[[Floats, Floats, Floats], Floats]) -> None:
    rng = np.random.default_rng(0)
    scales = np.float32(2.0) ** rng.integers(-30, 30, (3, 3000)).astype(np.float32)
    operands = (rng.standard_normal((3, 3000)).astype(np.float32) * scales).astype(np.float32)
    # Halfway cases and their neighbours are rare: a third of the terms almost cancels the product.
    operands[2, ::3] = -(operands[0, ::3] * operands[1, ::3])
    operands = np.concatenate([operands, np.array(NEAR_TIES, np.float32).T], axis=1)
    expected = [exact(*map(float, row)) for row in operands.T]
    np.testing.assert_array_equal(multiply_add(*operands), np.array(expected, np.float32))


def test_the_hard_cases_are_hard() -> None:
    assert sum(rounded_twice(*case) != exact(*case) for case in NEAR_TIES) >= 20


def test_numpy_rounds_once() -> None:
    agrees(fma)


floats = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**60), max_value=2.0**60)


@settings(deadline=None)
@given(floats, floats, floats)
def test_numpy_rounds_any_three_floats_once(a: float, b: float, c: float) -> None:
    assert float(fma(a, b, c)) == exact(a, b, c)


def test_infinities_and_nan() -> None:
    inf, nan = np.inf, np.nan
    cases = [
        (inf, 1.0, 1.0, inf),
        (1.0, -inf, 1.0, -inf),
        (inf, 0.0, 1.0, nan),
        (inf, 1.0, -inf, nan),
        (nan, 1, 1, nan),
    ]
    cases += [(3e38, 3e38, 1.0, inf), (3e38, -3e38, 1.0, -inf), (1.0, 1.0, nan, nan), (2.0**127, 2.0, -1.0, inf)]
    for a, b, c, expected in cases:
        np.testing.assert_equal(float(fma(a, b, c)), expected)


SOURCE = """
#include <cstdint>
#include "kernels/fused.h"
extern "C" void multiply_add(const float* a, const float* b, const float* c, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = fused(a[i], b[i], c[i]);
}
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_cpp_rounds_once_without_the_instruction(tmp_path: Path) -> None:
    """Baseline x86-64 has none; noise itself meets such a case once in millions of draws."""
    source, library = tmp_path / "fused.cpp", tmp_path / "fused.so"
    source.write_text(SOURCE)
    csrc = Path(__file__).parents[2] / "csrc"
    flags = ["-std=c++17", "-O3", "-fno-signed-zeros", "-fno-trapping-math", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run(["c++", *flags, f"-I{csrc}", "-o", str(library), str(source)], check=True)
    function = ctypes.CDLL(str(library)).multiply_add

    def multiply_add(*operands: Floats) -> Floats:
        contiguous = [np.ascontiguousarray(each) for each in operands]
        out = np.empty_like(contiguous[0])
        function(*(each.ctypes.data_as(ctypes.c_void_p) for each in (*contiguous, out)), ctypes.c_int64(out.size))
        return out

    agrees(multiply_add)
