"""A run killed at any instant resumes, and ends as the run left alone, bit for bit.

Its instants are all those at which it touches its folder: before a file is opened, put in its place or removed, and in
the middle of a write.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from tests.core.units import run as run_python
from tests.support.command_line import TINY

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the size of files")

# Of folder, options, instants and sizes. Each run is a process of its own, forked from one that has been through one.
CODE = """
import json, os, resource, signal, sys
from tests.support.command_line import fastvae, without_pictures

TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove"}

def forked(what, *arguments):
    child = os.fork()
    if child == 0:
        try:
            what(*arguments)
        finally:
            os._exit(100)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def run(*arguments):
    with without_pictures():
        result = fastvae(*arguments)
    print(result.err, file=sys.stderr, end="", flush=True)
    os._exit(result.code)

def killed_at(path, instant):
    touched = 0
    def touch(event, arguments):
        nonlocal touched
        if event in TOUCHES and str(arguments[0]).startswith(path):
            touched += 1
            if touched == instant:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(touch)
    run("train", *options, "--out", path)

def killed_behind(path, size):
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python has the write fail
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    run("train", *options, "--out", path)

with without_pictures():
    assert fastvae("train", *options, "--out", os.path.join(folder, "whole")).code == 0
outcomes = {}
def go(name, kill, where):
    path = os.path.join(folder, name)
    outcomes[name] = [forked(kill, path, where)]
    again = ("--resume", path) if os.path.exists(os.path.join(path, "config.json")) else (*options, "--out", path)
    if outcomes[name][0]:
        outcomes[name].append(forked(run, "train", *again))

instant = 0
while not outcomes or outcomes[f"instant {instant}"][0] == -signal.SIGKILL:
    instant += instants
    go(f"instant {instant}", killed_at, instant)
for size in sizes:
    go(f"behind {size} bytes", killed_behind, size)
print(json.dumps(outcomes))
"""


def left_by(run: Path) -> dict[str, object]:
    """What a run is to leave, but for the time that it took."""
    files: dict[str, object] = {
        str(file.relative_to(run)): file.read_bytes()
        for file in run.rglob("*.safetensors")
        if file.name != "checkpoint.safetensors"  # its rows of metrics have the time, too
    }
    with (run / "metrics.csv").open(newline="") as text:
        files["metrics.csv"] = [{**row, "seconds": None} for row in csv.DictReader(text)]
    return files


def check(folder: Path, options: tuple[str, ...], instants: int, sizes: tuple[int, ...]) -> None:
    options = (*TINY, *options)
    given = f"folder, options, instants, sizes = {str(folder)!r}, {options}, {instants}, {sizes}"
    result = run_python(given + CODE, None)
    assert result.returncode == 0, result.stderr
    outcomes = json.loads(result.stdout)
    *killed, last = (name for name in outcomes if name.startswith("instant"))
    assert outcomes[last] == [0]
    assert {tuple(outcomes[name]) for name in killed} == {(-9, 0)}, (outcomes, result.stderr)
    assert {tuple(outcomes[name]) for name in outcomes if name.startswith("behind")} == {(-25, 0)}, outcomes
    assert len(killed) * instants > 15
    whole = left_by(folder / "whole")
    for name in outcomes:
        assert left_by(folder / name) == whole, name


@pytest.mark.usefixtures("one_thread")
def test_killed_and_resumed(tmp_path: Path) -> None:
    check(tmp_path, ("--epochs", "2"), 6, (20_000,))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_killed_at_every_instant_and_resumed(tmp_path: Path) -> None:
    options = ("--epochs", "3", "--batch-size", "100", "--keep-weights", "--ema", "0.9", "--early-stopping", "2")
    check(tmp_path, options, 1, (0, 100, 1_000, 4_096, 20_000, 40_000))
