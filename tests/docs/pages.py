"""The pages of the documentation, and the Python that they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
FENCES = {name: re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE) for name, text in PAGES.items()}
"""Those that run in their order; a fragment, in names of the text around it, is fenced as `py`."""


def run(page: str) -> dict[str, Any]:
    """Run a page's Python; returns the names that it has then."""
    names: dict[str, Any] = {"__name__": page}
    for number, code in enumerate(FENCES[page]):
        exec(compile(code, f"{page}, fence {number}", "exec"), names)
    return names
