"""What docs/python.md has a user type works."""

from pathlib import Path

import pytest

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
