"""What the kernels' own test, without Python, takes from elsewhere: the noise."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from fastvae.reference.noise import normal

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "tests" / "native"


def test_the_digest_is_that_of_the_reference() -> None:
    source = (NATIVE / "noise.cpp").read_text()
    seed, start = (int(re.search(rf"{name} = (\d+)", source)[1]) for name in ("kSeed", "kStart"))
    digest = int(re.search(r"kDigest = (0x[0-9A-F]+)", source)[1], 16)
    assert zlib.crc32(normal(seed, 1 << 20, start).astype("<f4").tobytes()) == digest


def test_the_streams_are_those_of_the_document() -> None:
    document = (ROOT / "docs" / "noise.md").read_text()
    tables = re.findall(r"\{(INT64_M\w+|-?\d+), (\d+), \{([^}]*)\}\}", (NATIVE / "noise.cpp").read_text())
    limits = {"INT64_MAX": 2**63 - 1, "INT64_MIN": -(2**63)}
    for seed, element, normals in tables:
        values = " ".join(value.removesuffix("f") for value in normals.split(", "))
        assert re.search(
            rf"\| `{limits.get(seed, seed)}` \| `{element}` \| `[^`]*` \| `{re.escape(values)}` \|", document
        )
    assert len(tables) == 8
