"""What the README has a newcomer type, in a checkout's root and from top to bottom, works as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("one_thread")
def test_the_snippets_run_in_their_order() -> None:
    snippets = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)
    assert len(snippets) >= 3


def test_installed_in_place_the_package_imports_in_the_root() -> None:
    """What a copy does not, see test_import."""
    commands = re.findall(r"^    (pip install .*)$", TEXT, re.MULTILINE)
    assert commands
    assert all(" -e " in command for command in commands)
