"""How far the noise is from Box-Muller in exact arithmetic, over every value that a word can stand for.

Errors are in units of 2^-24 of the exact value: one to two of them are a unit in the last place of float32.
"""

import numpy as np
import pytest

from fastvae.reference import noise
from tests.core.test_noise import cpp_normal, turns

# The largest over all words, rounded up; docs/noise.md states them.
RADIUS, COSINE, SINE = 1.81, 1.86, 2.11
PRODUCT = 1  # the rounding of radius * cosine


def errors(found, exact):
    return np.abs(found - exact) / np.abs(exact) * 2**24


def exact_radius(word):
    return np.sqrt(-2 * np.log((2 * (word >> 9).astype(np.float64) + 1) * 2.0**-24))


def largest_errors(stride):
    """Of the radius, the cosine and the sine, over every `stride`-th of the words that differ in them."""
    radii = np.arange(0, 2**23, stride, dtype=np.uint32) << np.uint32(9)
    angles = np.arange(0, 2**22, stride, dtype=np.uint32) << np.uint32(1)
    exact = 2 * np.pi * turns(angles)
    found = np.sqrt(noise.minus_two_log(radii)), *noise.cos_sin(angles)
    return [
        errors(*each).max() for each in zip(found, (exact_radius(radii), np.cos(exact), np.sin(exact)), strict=True)
    ]


def test_some_words_are_accurate():
    radius, cosine, sine = largest_errors(61)
    assert radius < RADIUS
    assert cosine < COSINE
    assert sine < SINE


@pytest.mark.slow
def test_all_words_are_accurate():
    np.testing.assert_allclose(largest_errors(1), (RADIUS, COSINE, SINE), rtol=0, atol=0.01)


@pytest.mark.parametrize("seed", [1, 2])
def test_normals_are_as_accurate_as_their_factors(seed):
    count = 2**18
    words = noise.words(seed, np.arange(count // 4, dtype=np.uint64))
    exact = []
    for radius, angle in (words[:2], words[2:]):
        turn = 2 * np.pi * turns(angle)
        exact += [exact_radius(radius) * np.cos(turn), exact_radius(radius) * np.sin(turn)]
    found = cpp_normal(seed, count).reshape(-1, 4)
    assert errors(found, np.stack(exact, axis=-1)).max() < RADIUS + SINE + PRODUCT
