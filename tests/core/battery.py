"""Statistical tests of random words and of normals, each giving p-values: small or large where the hypothesis is wrong.

After Knuth (The Art of Computer Programming, 3.3.2), Marsaglia's Diehard and L'Ecuyer and Simard's TestU01, in sizes of
seconds. A p-value is the probability of a statistic as large under independent, uniform words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

Words = npt.NDArray[np.uint32]
Values = npt.NDArray[np.float64]


def of_chi_square(statistic: float, degrees: int) -> float:
    half = torch.tensor([degrees / 2, statistic / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def of_counts(counts: npt.NDArray[np.int64], expected: npt.NDArray[np.float64] | float) -> float:
    """Pearson's chi-square of counts, all of them of 10 and more, that add up to what is expected."""
    assert np.min(expected) >= 10
    return of_chi_square(float(((counts - expected) ** 2 / expected).sum()), counts.size - 1)


def of_poisson(count: int, mean: float) -> float:
    """P(N >= count), halfway to P(N > count): symmetric where the mean is large."""
    above = [torch.special.gammainc(torch.tensor(float(k)), torch.tensor(mean).double()) for k in (count, count + 1)]
    return float(sum(above)) / 2 if count else 1 - math.exp(-mean) / 2


def of_normal(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


def serial(words: Words) -> Iterator[float]:
    """Pairs of bytes of words 1, 2, 4 and 5 apart: four words come from one counter."""
    for lag in (1, 2, 4, 5):
        for shift in (0, 24):
            byte = (words >> np.uint32(shift) & np.uint32(255)).astype(np.int64)
            blocks = byte[: byte.size // (2 * lag) * 2 * lag].reshape(-1, 2, lag)
            pairs = (blocks[:, 0] * 256 + blocks[:, 1]).reshape(-1)
            yield of_counts(np.bincount(pairs, minlength=65536), pairs.size / 65536)


def gap(words: Words) -> Iterator[float]:
    """The distances between words below 2^29, by the upper bits, and between those with three low bits of 0."""
    for hit in (words < 2**29, words & np.uint32(7) == 0):
        gaps = np.diff(np.flatnonzero(hit)) - 1
        longest = 64
        chance = np.append(0.125 * 0.875 ** np.arange(longest), 0.875**longest)
        yield of_counts(np.bincount(np.minimum(gaps, longest), minlength=longest + 1), chance * gaps.size)


def collision(words: Words) -> Iterator[float]:
    """Balls in 2^28 urns, named by 14 bits of two words: how many find their urn taken."""
    for shift in (0, 9, 18):
        bits = (words >> np.uint32(shift) & np.uint32(2**14 - 1)).astype(np.int64)
        urns = bits[::2] << 14 | bits[1::2]
        mean = urns.size - 2.0**28 * -math.expm1(urns.size * math.log1p(-(2.0**-28)))
        taken = int((np.diff(np.sort(urns)) == 0).sum())
        yield of_normal((taken - mean) / math.sqrt(mean))


def birthday_spacings(words: Words) -> Iterator[float]:
    """Of 2^12 birthdays in a year of 2^32 days, equal distances between neighbours: Poisson with mean 4 a year."""
    for turned in (words, words << np.uint32(16) | words >> np.uint32(16)):
        years = np.sort(turned[: turned.size // 4096 * 4096].reshape(-1, 4096).astype(np.int64), axis=1)
        spacings = np.sort(np.diff(years, axis=1), axis=1)
        equal = int((np.diff(spacings, axis=1) == 0).sum())
        yield of_poisson(equal, 4.0 * len(years))


def matrix_rank(words: Words) -> Iterator[float]:
    """The ranks of 32 x 32 matrices of bits."""
    rows = words[: min(words.size, 2**20) // 32 * 32].reshape(-1, 32).copy()
    every, rank = np.arange(len(rows)), np.zeros(len(rows), np.int64)
    free = np.ones(rows.shape, bool)
    for bit in range(32):
        has = rows >> np.uint32(bit) & np.uint32(1) == 1
        candidates = has & free
        pivot, found = candidates.argmax(axis=1), candidates.any(axis=1)
        chosen = rows[every, pivot]
        has[every, pivot] = False
        rows ^= np.where(has & found[:, None], chosen[:, None], np.uint32(0))
        free[every[found], pivot[found]] = False
        rank += found
    chance = np.array([0.1335731, 0.5775762, 0.2887881])
    chance[0] = 1 - chance[1:].sum()
    yield of_counts(np.bincount(np.clip(rank, 30, 32) - 30, minlength=3), chance * len(rank))


def runs(words: Words) -> Iterator[float]:
    """The lengths of ascending runs, which are independent where the word after each is thrown away (Knuth)."""
    for turned in (words, words << np.uint32(16) | words >> np.uint32(16)):
        ends = np.flatnonzero(turned[1:] <= turned[:-1])
        lengths, at = [], 0
        for end in ends.tolist():
            if end >= at:
                lengths.append(end - at + 1)
                at = end + 2
        longest = 7
        chance = np.array([1 / math.factorial(n) - 1 / math.factorial(n + 1) for n in range(1, longest)])
        counts = np.bincount(np.minimum(lengths, longest), minlength=longest + 1)[1:]
        yield of_counts(counts, np.append(chance, 1 - chance.sum()) * len(lengths))


def weights(words: Words) -> Iterator[float]:
    """How many bits are set in neighbouring words, together."""
    ones = np.clip(np.bitwise_count(words).astype(np.int64), 9, 23) - 9
    chance = np.array([math.comb(32, k) for k in range(33)]) / 2.0**32
    classes = np.concatenate([[chance[:10].sum()], chance[10:23], [chance[23:].sum()]])
    pairs = ones[: ones.size // 2 * 2].reshape(-1, 2)
    counts = np.bincount(pairs[:, 0] * 15 + pairs[:, 1], minlength=225)
    yield of_counts(counts, (np.outer(classes, classes) * len(pairs)).reshape(-1))


def bits(words: Words) -> Iterator[float]:
    """Every bit of every lane is as often 0 as 1, and changes as often as not from one counter to the next."""
    lanes = words[: words.size // 4 * 4].reshape(-1, 4)
    for changing in (lanes, lanes[1::2] ^ lanes[::2]):
        ones = np.array([np.count_nonzero(changing & np.uint32(1 << bit), axis=0) for bit in range(32)])
        yield of_chi_square(float(((ones - len(changing) / 2) ** 2).sum()) * 4 / len(changing), ones.size)


OF_WORDS: dict[str, Callable[[Words], Iterator[float]]] = {
    test.__name__: test
    for test in (serial, gap, collision, birthday_spacings, matrix_rank, runs, weights, bits)
}  # fmt: skip


def quantiles(values: Values, cells: int) -> npt.NDArray[np.int64]:
    """The cell of each value, of so many that a normal falls into alike."""
    cumulative = torch.special.ndtr(torch.from_numpy(values)).numpy()
    return np.minimum((cumulative * cells).astype(np.int64), cells - 1)


def distribution(normals: Values) -> Iterator[float]:
    yield of_counts(np.bincount(quantiles(normals, 4096), minlength=4096), normals.size / 4096)


def together(normals: Values) -> Iterator[float]:
    """Two normals of a pair, of a counter, and of neighbouring counters."""
    for lag in (1, 2, 4, 5):
        blocks = quantiles(normals[: normals.size // (2 * lag) * 2 * lag], 128).reshape(-1, 2, lag)
        cells = (blocks[:, 0] * 128 + blocks[:, 1]).reshape(-1)
        yield of_counts(np.bincount(cells, minlength=128**2), cells.size / 128**2)


def tails(normals: Values) -> Iterator[float]:
    for bound in (3.0, 4.0, 4.5, 5.0):
        for side in (normals, -normals):
            yield of_poisson(int((side > bound).sum()), normals.size * math.erfc(bound / math.sqrt(2)) / 2)


def lengths(normals: Values) -> Iterator[float]:
    """The squared lengths of latents of 64 dimensions, of which 16 cells are alike."""
    squares = (normals[: normals.size // 64 * 64].reshape(-1, 64) ** 2).sum(axis=1)
    halves = torch.from_numpy(squares / 2)
    cumulative = torch.special.gammainc(torch.full_like(halves, 32), halves).numpy()
    yield of_counts(np.bincount((cumulative * 16).astype(np.int64).clip(0, 15), minlength=16), squares.size / 16)


OF_NORMALS: dict[str, Callable[[Values], Iterator[float]]] = {
    test.__name__: test for test in (distribution, together, tails, lengths)
}
