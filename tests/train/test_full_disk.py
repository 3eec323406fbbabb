"""A disk that is full: the file is named in one line, what was there stays, and no part of a file is left behind."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fastvae.train.runs import atomic
from tests.support.command_line import TINY, fails, fastvae

pytestmark = pytest.mark.usefixtures("one_thread")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond `size` bytes, as it does where none are left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert fastvae("train", *TINY, "--epochs", 1, "--out", folder).code == 0
    return folder


# The config of such a run takes a thousand bytes, its checkpoint forty thousand.
@pytest.mark.parametrize(("size", "file"), [(0, "config.json"), (4000, "checkpoint.safetensors")])
def test_a_run_that_finds_no_space(tmp_path, size, file):
    with files_of_at_most(size):
        line = fails("train", *TINY, "--epochs", 1, "--out", tmp_path / "run")
    assert line == f"fastvae: error: {tmp_path / 'run' / file}: File too large\n"
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize("file", ["weights.safetensors", "metrics.csv", "losses.png"])
@pytest.mark.usefixtures("drawn")
def test_the_other_files_of_a_run(tmp_path, monkeypatch, file):
    write = atomic.write

    def limited(path, writer):
        with files_of_at_most(0 if path.name == file else resource.RLIM_INFINITY):
            write(path, writer)

    monkeypatch.setattr(atomic, "write", limited)
    line = fails("train", *TINY, "--epochs", 1, "--out", tmp_path / "run")
    assert line == f"fastvae: error: {tmp_path / 'run' / file}: File too large\n"
    assert not list((tmp_path / "run").glob(".*"))


def test_a_run_that_is_resumed(run):
    before = contents(run)
    with files_of_at_most(0):
        line = fails("train", "--resume", run, "--epochs", 2)
    assert line == f"fastvae: error: {run / 'config.json'}: File too large\n"
    assert contents(run) == before


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.npz"])
def test_samples(run, tmp_path, name):
    with files_of_at_most(0):
        line = fails("sample", run, "--out", tmp_path / name)
    assert line.startswith(f"fastvae: error: {tmp_path / name}: ")
    assert not list(tmp_path.iterdir())


def test_a_write_that_is_interrupted_leaves_nothing(tmp_path):
    def interrupted(path):
        path.write_text("part")
        raise KeyboardInterrupt

    (tmp_path / "file").write_text("whole")
    with pytest.raises(KeyboardInterrupt):
        atomic.write(tmp_path / "file", interrupted)
    assert contents(tmp_path) == {"file": b"whole"}
