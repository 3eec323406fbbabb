"""One rounding, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.simt import rounding


def operands(dtype: type, count: int, spread: int) -> list[np.ndarray]:
    """Numbers of many magnitudes, of which some have few bits, so that sums cancel and fall halfway."""
    generator = np.random.default_rng(count)
    mantissas = generator.integers(-(2**24), 2**24, (3, count)) >> generator.integers(0, 22, (3, count))
    values = np.ldexp(mantissas.astype(np.float64), generator.integers(-spread, spread, (3, count)))
    if dtype is np.float64:
        values *= 1 + generator.integers(0, 2**20, (3, count)) * 2.0**-50
    with np.errstate(all="ignore"):
        a, b, c = values.astype(dtype)
        product = a * b
        # A third nearly cancels the product, a third is the half of its last place.
        third = count // 3
        c[:third] = np.where(np.isfinite(product), -product, c)[:third]
        halves = np.spacing(np.where(np.isfinite(product), product, 1)) / 2
        c[third : 2 * third] = halves[third : 2 * third]
    finite = np.isfinite([a, b, c]).all(0)
    return [value[finite] for value in (a, b, c)]


@pytest.mark.parametrize("spread", [5, 60])
def test_fma_of_float32_is_rounded_once(spread: int) -> None:
    a, b, c = operands(np.float32, 3000, spread)
    with np.errstate(all="ignore"):
        found = rounding.fma32(a, b, c)
    # A float64 holds the sum of so few bits, or the fraction is rounded to it first and to odd.
    for x, y, z, value in zip(a, b, c, found, strict=True):
        assert value == _nearest32(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))), (x, y, z)


def _nearest32(exact: Fraction) -> np.float32:
    """By comparing with the neighbours."""
    with np.errstate(over="ignore"):
        near = np.float32(float(exact))
    if not np.isfinite(near):
        return near
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    finite = [value for value in around if np.isfinite(value)]
    return min(finite, key=lambda value: (abs(Fraction(float(value)) - exact), int(value.view(np.uint32)) & 1))


@pytest.mark.parametrize("spread", [5, 200, 500])
def test_fma_of_float64_is_rounded_once(spread: int) -> None:
    a, b, c = operands(np.float64, 1000, spread)
    with np.errstate(all="ignore"):
        found = rounding.fma64(a, b, c)
    for x, y, z, value in zip(a, b, c, found, strict=True):
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        try:
            assert value == float(exact), (x, y, z)
        except OverflowError:
            assert np.isinf(value)


def test_fma_of_what_is_not_finite() -> None:
    a, b, c = (
        np.array(values) for values in ([np.inf, 0, 1, 2, -0.0], [0, 1, 1, np.inf, 1], [1, -0.0, np.nan, -3, -0.0])
    )
    with np.errstate(all="ignore"):
        for fused, dtype in ((rounding.fma32, np.float32), (rounding.fma64, np.float64)):
            found = fused(a.astype(dtype), b.astype(dtype), c.astype(dtype))
            np.testing.assert_array_equal(found, np.array([np.nan, 0, np.nan, np.inf, -0.0], dtype))
            assert np.signbit(found[-1])


def test_one_rounding_differs_from_two() -> None:
    """The case that tells them apart: halfway between two float32 but for a bit beyond float64."""
    a, b = np.array([1 + 2.0**-12], np.float32), np.array([1 + 2.0**-12], np.float32)
    c = np.array([2.0**-80], np.float32)
    assert (a.astype(np.float64) * b + c).astype(np.float32) < rounding.fma32(a, b, c)


def test_bfloat16_is_torchs() -> None:
    ties = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8], np.float32)
    values = np.concatenate([np.random.default_rng(0).integers(0, 2**32, 4000, np.uint32).view(np.float32), ties])
    expected = torch.from_numpy(values).bfloat16().float().numpy()
    np.testing.assert_array_equal(rounding.from_bfloat16(rounding.to_bfloat16(values)), expected)


def test_halves_are_rounded_from_float64_once() -> None:
    # 1 + half a unit of bfloat16, and a little: float32 would drop the little, and the tie goes to even.
    value = np.array([1 + 2.0**-8 + 2.0**-40])
    assert rounding.from_bfloat16(rounding.to_bfloat16(rounding.narrowed_to_odd(value)))[0] == 1 + 2.0**-7
