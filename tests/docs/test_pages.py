"""What pages show is what happens: the Python of each runs from top to bottom, and its commands are those that work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import FENCES, PAGES, run

SLOW = "<!-- slow -->"
"""A page that says so takes more than seconds."""
ELSEWHERE = ("docs/export.md", "docs/modules.md", "docs/python.md")
"""Pages with a test of their own, beside this one."""


def runnable() -> list[Any]:
    pages = [page for page, found in FENCES.items() if found and page not in ELSEWHERE]
    return [pytest.param(page, marks=pytest.mark.slow if SLOW in PAGES[page] else ()) for page in pages]


# torch's own, of a custom backward that it traces.
@pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("page", runnable())
def test_the_python_of_a_page_runs_in_its_order(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(page)


def test_the_readme_has_snippets() -> None:
    assert len(FENCES["README.md"]) >= 2


def test_installed_in_place_the_package_imports_in_the_root() -> None:
    """What a copy does not, see test_import."""
    commands = re.findall(r"^    (pip install .*)$", PAGES["README.md"], re.MULTILINE)
    assert commands
    assert all(" -e " in command for command in commands)
