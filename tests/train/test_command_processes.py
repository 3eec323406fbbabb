"""The command as a process: killed, interrupted, and without a compiler."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import TINY, fastvae

pytestmark = pytest.mark.usefixtures("one_thread")


def start(*arguments, **variables) -> subprocess.Popen:
    command = [sys.executable, "-m", "fastvae", *map(str, arguments)]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", **variables}
    # What the shell ignores of a job in the background, the process would, too.
    interruptible = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=interruptible,
    )


def wait_for_rows(process, file, rows):
    deadline = time.monotonic() + 60
    while not (file.exists() and len(file.read_text().splitlines()) > rows):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.slow
def test_killed_for_real_and_resumed(tmp_path):
    options = ("train", *TINY, "--batch-size", 50, "--epochs", 25)
    assert fastvae(*options, "--out", tmp_path / "whole").code == 0
    process = start(*options, "--out", tmp_path / "killed")
    wait_for_rows(process, tmp_path / "killed" / "metrics.csv", 3)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len((tmp_path / "killed" / "metrics.csv").read_text().splitlines()) < 26
    resumed = start("train", "--resume", tmp_path / "killed")
    out, err = resumed.communicate()
    assert (resumed.returncode, err) == (0, "")
    assert out.startswith("resuming after epoch ")
    whole, killed = (tmp_path / name / "weights.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
    rows = (tmp_path / "killed" / "metrics.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, 26))


def test_interrupted_for_real(tmp_path):
    process = start("train", *TINY, "--epochs", 10000, "--out", tmp_path / "run")
    wait_for_rows(process, tmp_path / "run" / "metrics.csv", 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.count("\n") == 1
    assert "continue with: fastvae train --resume" in err


@pytest.mark.slow
def test_compile_without_a_compiler(tmp_path):
    options = ("train", *TINY, "--compile", "--out", tmp_path / "run")
    process = start(*options, CXX="missing-compiler", TORCHINDUCTOR_FORCE_DISABLE_CACHES="1")
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert err.startswith("fastvae: error: --compile: ")
    assert "missing-compiler" in err
