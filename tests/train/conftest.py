"""The bundled digits, and a small run of the command line that is trained once and copied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from fastvae.train.data import datasets
from fastvae.train.pictures import saved
from tests.support.command_line import TINY, Result, fastvae, without_pictures


@pytest.fixture(autouse=True, scope="session")
def coarse_pictures():
    """Of a ninth of the pixels: most of a small run's time is their drawing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved, "_DPI", 50)
        yield


@pytest.fixture
def drawn() -> None:
    """Runs of this test have their pictures."""


@pytest.fixture(autouse=True)
def pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs have none, whose drawing takes far longer than the training, but for tests that use `drawn`."""
    with nullcontext() if "drawn" in request.fixturenames else without_pictures():
        yield


@pytest.fixture(autouse=True, scope="session")
def user_cache(tmp_path_factory):
    """Not the one of who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def digits():
    return datasets.load("digits", None)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = fastvae("train", *TINY, "--epochs", 2, "--out", folder)
    assert result.code == 0, result
    return folder, result


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of the trained run, to damage."""
    folder = tmp_path / "run"
    folder.mkdir()
    for file in trained[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
