"""docs/export.md: its snippets run as they are printed, each section after the lines of the first."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from tests.clients.packages import client
from tests.docs.pages import PAGES

PARTS = PAGES["docs/export.md"].split("\n## ")
SECTIONS = {part.partition("\n")[0]: re.findall(r"```python\n(.*?)```", part, re.DOTALL) for part in PARTS}
FIRST, *REST = [name for name, snippets in SECTIONS.items() if snippets]
SLOW, OF_EXPORT = ("AOTInductor", "ONNX"), ("AOTInductor", "Noise")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in REST]
)
def test_the_snippets_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "ONNX":
        client("onnxscript")
        client("onnxruntime")
    monkeypatch.chdir(tmp_path)
    before = SECTIONS["torch.export"][:1] if name in OF_EXPORT else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec("\n".join((*SECTIONS[FIRST], *before, *SECTIONS[name])), {"__name__": "snippets"})


def test_there_are_snippets() -> None:
    assert {*SLOW, "torch.export", "torch.jit.trace", "Noise", "Copies"} <= {*REST}
