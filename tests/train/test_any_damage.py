"""Files that were damaged in any way: they are read, or named in one line, whatever has changed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastvae.train.data import datasets
from fastvae.train.data.description import Reading
from fastvae.train.errors import UserError
from tests.support.command_line import fastvae, mnist
from tests.train import own_data

pytestmark = pytest.mark.usefixtures("one_thread")


class Damage(NamedTuple):
    """What happens to some bytes of a file, those from a share of its length on."""

    kind: str
    begin: float
    length: int
    noise: bytes

    def of(self, content: bytes) -> bytes:
        begin = int(self.begin * len(content))
        head, middle, tail = content[:begin], content[begin : begin + self.length], content[begin + self.length :]
        noise = (self.noise * len(middle))[: len(middle)]
        return {
            "cut off": head,
            "lost": head + tail,
            "doubled": head + middle + middle + tail,
            "zeros": head + bytes(len(middle)) + tail,
            "noise": head + noise + tail,
            "inserted": head + noise + middle + tail,
            "a bit": head + bytes([middle[0] ^ 1 << self.length % 8]) + middle[1:] + tail,
        }[self.kind]


KINDS = ("cut off", "lost", "doubled", "zeros", "noise", "inserted", "a bit")
# Headers are short and at the beginning, what an archive holds is said at its end.
PLACES = st.one_of(st.floats(0, 0.999), st.floats(0, 0.02), st.floats(0.95, 0.999))
DAMAGES = st.builds(
    Damage, st.sampled_from(KINDS), PLACES, st.sampled_from((1, 2, 4, 8, 64, 1000)), st.binary(min_size=1, max_size=9)
)
EXAMPLES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
MANY = settings(EXAMPLES, max_examples=300)


def npy(folder: Path) -> Path:
    np.save(folder / "a.npy", np.arange(40 * 36, dtype=np.uint8).reshape(40, 6, 6))
    return folder / "a.npy"


def npz(folder: Path) -> Path:
    random = np.random.RandomState(0)
    parts = {name: random.rand(count, 6, 6).astype(np.float32) for name, count in (("train", 40), ("test", 10))}
    np.savez_compressed(folder / "a.npz", **parts)
    return folder / "a.npz"


def stored_npz(folder: Path) -> Path:
    np.savez(folder / "a.npz", data=np.arange(40 * 36, dtype=np.uint8).reshape(40, 36), labels=np.arange(40) % 3)
    return folder / "a.npz"


DATA: dict[str, Callable[[Path], Path]] = {
    "npy": npy,
    "npz": npz,
    "stored npz": stored_npz,
    "images": lambda folder: own_data.folder(folder / "images", 8),
    "mnist": lambda folder: mnist(folder / "mnist"),
}


def check_data(folder: Path, kind: str, damage: Damage, number: int) -> None:
    """Reads data with a damaged file."""
    whole = DATA[kind](folder)
    files = sorted(file for file in whole.rglob("*.*") if file.is_file()) if whole.is_dir() else [whole]
    file = files[number % len(files)]
    file.write_bytes(damage.of(file.read_bytes()))
    cache = folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    where = ("mnist", str(whole)) if kind == "mnist" else (str(whole), None)
    said = ""
    try:
        datasets.load(*where, reading=Reading(cache_dir=str(cache)))
    except UserError as error:
        said = str(error)
    assert not said or file.name.removesuffix(".gz") in said
    assert "\n" not in said


@pytest.mark.parametrize("kind", DATA)
@EXAMPLES
@given(damage=DAMAGES, number=st.integers(0, 7))
def test_data(tmp_path, kind, damage, number):
    check_data(tmp_path, kind, damage, number)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DATA)
@MANY
@given(damage=DAMAGES, number=st.integers(0, 7))
def test_data_of_many_damages(tmp_path, kind, damage, number):
    check_data(tmp_path, kind, damage, number)


@EXAMPLES
@given(length=st.integers(0, 1000))
def test_counts_that_were_cut_off(tmp_path, length):
    """HDF5 itself may end the process, or never end, over other damage."""
    pytest.importorskip("anndata")
    file = tmp_path / "cells.h5ad"
    if not (tmp_path / "whole").exists():
        own_data.counts(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    file.write_bytes(content[: len(content) * length // 1001])
    with pytest.raises(UserError, match=r"cells\.h5ad: no \.h5ad file that can be read"):
        datasets.load(str(file), None, reading=Reading(cache_dir=str(tmp_path / "cache")))


# The words before the folder, and the files that are read.
COMMANDS = {
    "evaluate": (("evaluate", "--num-samples", 2), ("config.json", "weights.safetensors")),
    "sample": (("sample",), ("config.json", "weights.safetensors")),
    "plot": (("plot",), ("config.json", "weights.safetensors", "metrics.csv", "evaluation.json")),
    "resume": (("train", "--resume"), ("config.json", "checkpoint.safetensors")),
}
SEALED = {"weights.safetensors", "checkpoint.safetensors"}


def check_run(trained: Path, folder: Path, command: str, number: int, damage: Damage) -> None:
    """A command on a run with a damaged file."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(trained, folder)
    words, files = COMMANDS[command]
    name = files[number % len(files)]
    before = (folder / name).read_bytes()
    after = damage.of(before)
    (folder / name).write_bytes(after)
    result = fastvae(*words, folder)
    assert result.code in (0, 2), result
    if result.code:
        assert result.err.startswith("fastvae: error: "), result
        assert result.err.count("\n") == 1, result
        assert str(folder) in result.err, result
    if name in SEALED and after != before:
        assert f"{name}: damaged" in result.err, result


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(trained[0], folder)
    assert fastvae("evaluate", folder, "--num-samples", 2).code == 0
    return folder


@pytest.mark.parametrize("command", COMMANDS)
@settings(EXAMPLES, max_examples=10)
@given(number=st.integers(0, 3), damage=DAMAGES)
def test_runs(evaluated, tmp_path, command, number, damage):
    check_run(evaluated, tmp_path / "run", command, number, damage)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@settings(EXAMPLES, max_examples=40)
@given(number=st.integers(0, 3), damage=DAMAGES)
def test_runs_of_many_damages(evaluated, tmp_path, command, number, damage):
    check_run(evaluated, tmp_path / "run", command, number, damage)
