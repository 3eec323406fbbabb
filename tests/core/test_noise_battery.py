"""A small battery in the manner of BigCrush, over the words of Philox and the normals made of them.

Seeds are fixed: what passes once always passes. Were they drawn anew, the tests of this file would, all together, fail
by chance once in a thousand times: each p-value may be as near to 0 or to 1 as its share of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fastvae.reference import noise
from tests.core.battery import OF_NORMALS, OF_WORDS, Values, Words
from tests.core.test_noise import cpp_normal

pytestmark = pytest.mark.slow

COUNT = 2**23
SEED = 12345
P_VALUES = 2 * (21 + 14)  # of both streams of words, and of both seeds
LEAST = 1e-3 / (2 * P_VALUES)


def by_element(rounds: int) -> Words:
    """The words of one call: the counter runs."""
    zeros = np.zeros(COUNT // 4)
    words = noise.philox((np.arange(COUNT // 4), zeros, zeros, zeros), (SEED, 0), rounds)
    return np.stack(words, axis=-1).reshape(-1)


def by_seed(rounds: int) -> Words:
    """The first words under the seeds 0, 1, 2, ...: the key runs."""
    zeros = np.zeros(COUNT // 4)
    words = noise.philox((zeros, zeros, zeros, zeros), (np.arange(COUNT // 4), 0), rounds)
    return np.stack(words, axis=-1).reshape(-1)


@pytest.fixture(scope="module", params=[by_element, by_seed])
def words(request: pytest.FixtureRequest) -> Words:
    found: Words = request.param(noise.ROUNDS)
    return found


@pytest.fixture(scope="module", params=[SEED, -1])
def normals(request: pytest.FixtureRequest) -> Values:
    found: Values = cpp_normal(request.param, COUNT).astype(np.float64)
    return found


def passes(p_values: Iterator[float]) -> bool:
    return all(LEAST < p < 1 - LEAST for p in p_values)


@pytest.mark.parametrize("test", OF_WORDS)
def test_words_are_uniform(test: str, words: Words) -> None:
    assert passes(OF_WORDS[test](words))


@pytest.mark.parametrize("test", OF_NORMALS)
def test_normals_are_normal(test: str, normals: Values) -> None:
    assert passes(OF_NORMALS[test](normals))


def test_every_p_value_has_its_share() -> None:
    words, normals = by_element(noise.ROUNDS)[: COUNT // 2], cpp_normal(SEED, COUNT // 2).astype(np.float64)
    found = [p for test in OF_WORDS.values() for p in test(words)]
    found += [p for test in OF_NORMALS.values() for p in test(normals)]
    assert 2 * len(found) == P_VALUES


@pytest.fixture(scope="module")
def three_rounds() -> Words:
    return by_element(3)


@pytest.mark.parametrize("test", OF_WORDS)
def test_three_rounds_are_too_few(test: str, three_rounds: Words) -> None:
    assert not passes(OF_WORDS[test](three_rounds))


def wider(normals: Values) -> Values:
    return 1.01 * normals


def echoing(normals: Values) -> Values:
    """Correlated by 0.02 with the normal before."""
    mixed: Values = normals + 0.02 * np.roll(normals, 1)
    return mixed / np.sqrt(1 + 0.02**2)


@pytest.mark.parametrize(
    ("test", "fault"), [("distribution", wider), ("tails", wider), ("lengths", wider), ("together", echoing)]
)
def test_a_fault_of_a_hundredth_is_found(test: str, fault: Callable[[Values], Values], normals: Values) -> None:
    assert not passes(OF_NORMALS[test](fault(normals)))
