"""What docs/python.md and the docstring of `fastvae.fit` have a user type works."""

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

import fastvae
from tests.docs.pages import run


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("one_thread")
def test_the_snippets_run_in_their_order(tmp_path: Path) -> None:
    names = run("docs/python.md")
    assert len(names["found"].history) == 2
    assert (tmp_path / "runs" / "first" / "samples.png").exists()
    assert names["vae"].config["epochs"] == 3


@pytest.mark.usefixtures("one_thread")
def test_the_example_of_the_docstring_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"\n\n((?:    .*\n)+)", (inspect.getdoc(fastvae.fit) or "").split("Args:")[0])
    names: dict[str, Any] = {"fastvae": fastvae, "images": torch.rand(40, 1, 28, 28)}
    exec(textwrap.dedent(block), names)
    assert (tmp_path / "runs" / "first" / "metrics.csv").read_text().count("\n") == 11
