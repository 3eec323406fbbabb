"""The page of equivalents: ``python -m tools.equivalents`` writes docs/equivalents.md from `tools.equivalent_losses`.

A test fails where the page is out of date, and another where the two losses of a row differ.
"""

from __future__ import annotations

import textwrap
from itertools import groupby
from pathlib import Path
from typing import Final

from bench import pages
from tools.equivalent_losses import EQUIVALENTS, SETUP, Equivalent

PAGE: Final = Path(__file__).parent.parent / "docs" / "equivalents.md"
_HEAD: Final = """# The loss you have, in fastvae

There is no standard way to write the loss of a VAE: in different projects the same beta means different things. Each
row below has the lines of one project, in their style, and the lines that give the same value and the same gradients
here. The page is written by `python -m tools.equivalents`, and a test runs every row in float64, with a beta of 1 and
of 2.5: rounding is the only difference.

`preset=` of `fastvae.functional.vae_loss` and `fastvae.ELBOLoss` is a row; `fastvae.VAE(preset=...)` reads its
encoder's output as the project does, too. Nothing of a project is imported or patched. All lines are over these
names:"""


def _code(*parts: str) -> str:
    return "```python\n" + "\n\n".join(part.strip() for part in parts if part) + "\n```"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _section(preset: str, rows: list[Equivalent]) -> str:
    first, *others = rows
    parts = [f"## {preset}", _wrapped(f"{first.what}. **beta**: {first.beta}")]
    for row in (first, *others):
        if row is not first:
            parts.append(_wrapped(f"{row.what[0].upper()}{row.what[1:]}:"))
        parts += [_code(row.given, row.theirs), "is", _code(row.ours)]
    return "\n\n".join(parts)


def page() -> str:
    """The whole text."""
    presets = {preset: list(rows) for preset, rows in groupby(EQUIVALENTS, lambda row: row.preset)}
    lines = ([f"[`{preset}`](#{preset})", rows[0].what, rows[0].beta] for preset, rows in presets.items())
    index = pages.table(["preset", "project", "beta"], lines, text_columns=3)
    sections = (_section(preset, rows) for preset, rows in presets.items())
    return "\n\n".join([_HEAD, _code(SETUP), index, *sections]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
