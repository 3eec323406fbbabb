"""A whole run, from training to its page, reads no pickle."""

import pickle
import sys
from collections.abc import Iterator

import pytest
import torch

import fastvae as package
from tests.support.command_line import TINY, fastvae

pytestmark = pytest.mark.usefixtures("one_thread")

WATCHED: list[str] = []


def hook(event: str, arguments: tuple[object, ...]) -> None:
    """Python's own unpicklers, in C too, say what they are about to import. A hook stays until the process ends."""
    if WATCHED and event == "pickle.find_class":
        raise AssertionError(f"a pickle imports {arguments}")


sys.addaudithook(hook)


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a pickle is read")


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for room, name in ((torch, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(room, name, refuse)
    WATCHED.append("now")
    yield
    WATCHED.clear()


def test_a_run_reads_no_pickle(tmp_path, no_pickle):
    run = tmp_path / "run"
    for arguments in (
        ("train", *TINY, "--epochs", 1, "--ema", 0.9, "--clip-grad", 1, "--amp", "fp16", "--out", run),
        ("train", "--resume", run, "--epochs", 2),
        ("evaluate", run, "--num-samples", 2),
        ("sample", run, "--out", tmp_path / "x.npz"),
        ("plot", run, "--only", "samples"),
        ("report", run),
        ("train", "--data", tmp_path / "x.npz", *TINY, "--epochs", 1, "--out", tmp_path / "own"),
    ):
        result = fastvae(*arguments)
        assert result.code == 0, result
    model = package.load(run)
    model.save_pretrained(tmp_path / "model")
    package.VAE.from_pretrained(tmp_path / "model")


def test_the_watch_sees_pickles(no_pickle):
    for read in (pickle.loads, pickle.load, torch.load):
        with pytest.raises(AssertionError, match="a pickle is read"):
            read(b"")
    import _pickle

    with pytest.raises(AssertionError, match="a pickle imports"):
        _pickle.loads(b"cos\nsystem\n.")
