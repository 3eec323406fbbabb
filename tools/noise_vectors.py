"""The values of docs/noise.md by which another implementation can check itself, from the reference.

    python -m tools.noise_vectors     writes them

They change with the contract only, and then every seed gives other noise. A test fails where they are out of date.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bench import pages
from fastvae.reference import noise
from fastvae.reference.fused import fma

PAGE: Final = Path(__file__).parent.parent / "docs" / "noise.md"
_PART: Final = "vectors"

# Rounded to float64 first, each would be the middle between two floats, or exactly a float.
FMA: Final = (
    (1 + 2.0**-15, (1 - 2.0**-15) * 2.0**-24, 1 + 2.0**-23),
    (1 + 2.0**-15, (1 + 2.0**-15) * 2.0**-24, 1.0),
    (-1 - 2.0**-15, (1 - 2.0**-15) * 2.0**-24, -1 - 2.0**-23),
    (1 + 2.0**-12, 1 + 2.0**-12, 2.0**-60),
    (1 + 2.0**-12, 1 + 2.0**-12, -(2.0**-60)),
    (1 + 2.0**-12, 1 + 2.0**-12, 0.0),
)
PAIRS: Final = (
    (0x00000000, 0x00000000), (0x00000200, 0x00000002), (0x000001FF, 0x3F800001), (0x7FFFFFFF, 0x003FFFFE),
    (0x80000000, 0x00400000), (0xFFFFFFFF, 0x007FFFFE), (0xFFFFFDFF, 0x40000000), (0x12345678, 0x80400000),
    (0xDEADBEEF, 0xC07FFFFF), (0x3C6EF372, 0xA54FF53A),
)  # fmt: skip
STREAMS: Final = (
    (0, 0), (0, 4), (1, 0), (-1, 0), (12345, 1000), (-987654321, 2**34 - 4), (2**63 - 1, 2**34), (-(2**63), 2**40),
)  # fmt: skip
# The seed, the sample's shape [K, rows, ...], and (start, total).
SHARDS: Final = ((0, (2, 3, 5), (3, 9)), (-1, (1, 4, 8), (2**29 + 1, 2**30)), (12345, (3, 1, 4, 4, 3), (7, 2**31)))
_SUMMED: Final = 2**20


def _word(value: int | np.uint32) -> str:
    return f"{int(value):08x}"


def _hexadecimal(value: float | np.float32) -> str:
    """As C and Python read it, without the zeros at its end."""
    mantissa, _, exponent = float(value).hex().partition("p")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}p{exponent}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Sequence[str]:
    return pages.table(head, ([f"`{cell}`" for cell in row] for row in rows), text_columns=len(head)), ""


def _pairs() -> Iterator[Sequence[str]]:
    for words in PAIRS:
        radius_word, angle_word = (np.array([word], np.uint32) for word in words)
        normals = noise.pair(radius_word, angle_word)
        values = (noise.minus_two_log(radius_word), noise.quarter_turns(angle_word), *normals)
        yield [*map(_word, words), *(_hexadecimal(value[0]) for value in values)]


def _streams() -> Iterator[Sequence[str]]:
    for seed, first in STREAMS:
        words = noise.words(seed, np.array([first // 4], np.uint64))
        normals = noise.normal(seed, 4, first)
        yield [str(seed), str(first), " ".join(_word(word[0]) for word in words), " ".join(map(_hexadecimal, normals))]


def _shards() -> Iterator[Sequence[str]]:
    for seed, shape, (start, total) in SHARDS:
        firsts = [(sample * total + start) * math.prod(shape[2:]) for sample in range(shape[0])]
        normals = [noise.normal(seed, 1, first)[0] for first in firsts]
        numbers = (" ".join(map(str, each)) for each in (shape, (start, total), firsts))
        yield [str(seed), *numbers, " ".join(map(_hexadecimal, normals))]


def drawn() -> str:
    """The tables."""
    lines = ["A fused multiply-add, where rounding twice goes wrong:", ""]
    lines += _table(("a", "b", "c", "fma(a, b, c)"), ([*map(_hexadecimal, (*row, fma(*row)[()]))] for row in FMA))
    lines += ["A pair of words:", ""]
    lines += _table(("w", "w'", "-2 ln u", "v", "first normal", "second normal"), _pairs())
    lines += ["The stream of a seed, from an element on whose index is a multiple of 4:", ""]
    lines += _table(("seed", "element", "words", "normals"), _streams())
    lines += ["The first element of each sample of a shard of shape `[K, batch, ...]`, and its normal:", ""]
    lines += _table(("seed", "shape", "start, total", "elements", "normals"), _shards())
    digest = hashlib.sha256(noise.normal(0, _SUMMED).astype("<f4").tobytes()).hexdigest()
    lines += [f"The first 2^20 normals of seed 0, as little-endian float32, have the SHA-256 `{digest}`.", ""]
    return "\n".join(lines)


def page(text: str) -> str:
    """The text of the page with the tables in their place."""
    return pages.insert(text, _PART, f"\n{drawn()}")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
