"""The noise is normal: moments, tails, and no correlation between lanes, rows or seeds."""

import math

import numpy as np
import pytest
import torch

from tests.core.test_noise import cpp_normal

COUNT = 1_000_000


@pytest.fixture(scope="module")
def sample():
    return cpp_normal(2024, COUNT).astype(np.float64)


def test_moments(sample):
    """Five standard errors of the first six moments of N(0, 1)."""
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (5, 0, 945), (6, 15, 10170)):
        assert abs((sample**power).mean() - moment) < 5 * math.sqrt(variance / COUNT)


def test_kolmogorov_smirnov(sample):
    x = torch.from_numpy(np.sort(sample))
    cdf = torch.special.ndtr(x).numpy()
    steps = np.arange(COUNT + 1) / COUNT
    distance = max((steps[1:] - cdf).max(), (cdf - steps[:-1]).max())
    assert distance < 1.95 / math.sqrt(COUNT)  # exceeded with probability 1e-3


def test_tails(sample):
    for bound in (3.0, 4.0, 4.5):
        expected = COUNT * math.erfc(bound / math.sqrt(2))
        assert abs((np.abs(sample) > bound).sum() - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 64, 2048, 2049])
def test_no_correlation_between_lanes_and_rows(sample, lag):
    for values in (sample, sample**2 - 1):
        correlation = (values[:-lag] * values[lag:]).mean() / values.var()
        assert abs(correlation) < 5 / math.sqrt(COUNT)


@pytest.mark.parametrize("other", [2025, 2024 + 2**32, -2024, 2024 - 2**63])
def test_no_correlation_between_seeds(sample, other):
    stream = cpp_normal(other, COUNT).astype(np.float64)
    for power in (1, 2):
        correlation = np.corrcoef(sample**power, stream**power)[0, 1]
        assert abs(correlation) < 5 / math.sqrt(COUNT)


def test_every_lane_is_normal(sample):
    for lane in range(4):
        values = sample[lane::4]
        assert abs(values.mean()) < 5 / math.sqrt(len(values))
        assert abs(values.var() - 1) < 5 * math.sqrt(2 / len(values))


def test_quadrants_are_equally_likely(sample):
    pairs = sample.reshape(-1, 2)
    counts = np.bincount(2 * (pairs[:, 0] > 0) + (pairs[:, 1] > 0), minlength=4)
    n = len(pairs)
    assert np.all(np.abs(counts - n / 4) < 5 * math.sqrt(n * 3 / 16))
