"""Another implementation of the noise, as docs/noise.md describes it: whole numbers, and fractions rounded once."""

from __future__ import annotations

import math
import re
import struct

import pytest

from tests.core.test_fused import exact as fma
from tools.noise_vectors import PAGE

LOG = "-0x1.70ec74p+1 -0x1.b220bep+1 -0x1.41f6a8p+1 -0x1.a0d90ep-2 -0x1.14155ep-1 0x1.f143dp-2 -0x1.55b5bp-1"
LOG += " 0x1.fffe1ap-1 0x1.8b90bep-1"
COS = "-0x1.4e842ap-6 0x1.03b07ep-2 -0x1.3bd39cp+0 0x1p+0"
SIN = "-0x1.2d9302p-8 0x1.465e9ep-4 -0x1.4abbc6p-1 0x1.921fb6p+0"


def bits(x: float) -> int:
    word: int = struct.unpack("<I", struct.pack("<f", x))[0]
    return word


def from_bits(word: int) -> float:
    x: float = struct.unpack("<f", struct.pack("<I", word))[0]
    return x


def product(a: float, b: float) -> float:
    return fma(a, b, 0.0)


def polynomial(coefficients: str, x: float) -> float:
    first, *others = map(float.fromhex, coefficients.split())
    for coefficient in others:
        first = fma(first, x, coefficient)
    return first


def pair(w: int, other: int) -> tuple[float, float, float, float]:
    """-2 ln u, v and the normals of two words."""
    b = bits((2 * (w >> 9) + 1) * 2.0**-24)
    f = from_bits(b & 0x007FFFFF | 0x3F000000) - 1
    square = fma(fma(float(b - 0x3F800000), 1.0, 0.0), float.fromhex("-0x1.62e43p-23"), product(polynomial(LOG, f), f))
    # Of a float32, the root in float64 is never so near a tie that rounding it again could go wrong.
    r = from_bits(bits(math.sqrt(square))) * (-1) ** (other >> 31)
    v = from_bits(other & 0x007FFFFE | 0x3F800001) - 1.5
    z = product(v, v)
    c, s = polynomial(COS, z), product(polynomial(SIN, z), v)
    if other >> 30 & 1:
        c, s = s, c
    return square, v, product(r, c), product(r, s)


def words(seed: int, element: int) -> tuple[int, ...]:
    modulus = 2**32
    c0, c1, c2, c3 = element // 4 % modulus, element // 4 // modulus, 0, 0
    k0, k1 = seed % modulus, seed // modulus % modulus
    for _ in range(7):
        a, b = 0xCD9E8D57 * c2, 0xD2511F53 * c0
        c0, c1, c2, c3 = a // modulus ^ c1 ^ k0, a % modulus, b // modulus ^ c3 ^ k1, b % modulus
        k0, k1 = (k0 + 0x9E3779B9) % modulus, (k1 + 0xBB67AE85) % modulus
    return c0, c1, c2, c3


ROWS = [re.findall("`([^`]*)`", line) for line in PAGE.read_text().splitlines() if line.startswith("| `")]
FMA = [row for row in ROWS if len(row) == 4 and row[0].startswith(("0x", "-0x"))]
PAIRS = [row for row in ROWS if len(row) == 6]
STREAMS = [row for row in ROWS if len(row) == 4 and row not in FMA]
SHARDS = [row for row in ROWS if len(row) == 5]


def test_the_constants_are_those_of_the_formulas() -> None:
    formulas, _, _ = PAGE.read_text().partition("## Values")
    used = f"{LOG} {COS} {SIN} -0x1.62e43p-23".replace(" 0x1p+0", "").split()
    assert sorted(re.findall(r"-?0x1\.\w+p[+-]\d+", formulas)) == sorted(used)


@pytest.mark.parametrize("row", FMA, ids=" ".join)
def test_a_fused_multiply_add(row: list[str]) -> None:
    *operands, expected = map(float.fromhex, row)
    assert fma(*operands) == expected


@pytest.mark.parametrize("row", PAIRS, ids=" ".join)
def test_a_pair(row: list[str]) -> None:
    assert pair(int(row[0], 16), int(row[1], 16)) == tuple(map(float.fromhex, row[2:]))


@pytest.mark.parametrize("row", STREAMS, ids=" ".join)
def test_a_stream(row: list[str]) -> None:
    seed, element, expected, normals = row
    found = words(int(seed), int(element))
    assert " ".join(f"{word:08x}" for word in found) == expected
    assert [*pair(*found[:2])[2:], *pair(*found[2:])[2:]] == [*map(float.fromhex, normals.split())]


@pytest.mark.parametrize("row", SHARDS, ids=" ".join)
def test_a_shard(row: list[str]) -> None:
    seed, (samples, _, *rest), (start, total), elements, normals = (cell.split() for cell in row)
    size = math.prod(map(int, rest))
    found = [(k * int(total) + int(start)) * size for k in range(int(samples))]
    assert found == [*map(int, elements)]
    for element, normal in zip(found, normals, strict=True):
        group = words(int(seed[0]), element)
        assert [*pair(*group[:2])[2:], *pair(*group[2:])[2:]][element % 4] == float.fromhex(normal)
