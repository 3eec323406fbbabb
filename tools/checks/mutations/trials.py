"""Tests run on a change: each in a process of its own, forked from one that has imported what is slow to import."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Final, NamedTuple

from tools.checks.served import serve

FAILED: Final = (1, 2)  # pytest's exit codes: a test failed, or could not be collected
OK: Final = 0


class Trial(NamedTuple):
    """A change to be tried: the modules that are taken from other files, what the environment says, and the tests."""

    key: str
    modules: Mapping[str, Path]
    environment: Mapping[str, str]
    tests: Sequence[str]
    limit_s: float


class Result(NamedTuple):
    """``killed``, ``survived`` or ``timeout``, and how long it took."""

    key: str
    outcome: str
    seconds: float


def log_of(folder: Path, key: str) -> Path:
    """What the trial of a key prints."""
    return folder / f"{key.replace('/', '-')}.txt"


def run(trials: Sequence[Trial], jobs: int, logs: Path) -> Iterator[Result]:
    """The results, as they come.

    Args:
        trials: what is tried.
        jobs: how many at once.
        logs: a folder for what each of them prints.

    Raises:
        RuntimeError: pytest found no test, or was called wrongly.
    """
    context = multiprocessing.get_context("fork")
    waiting, running = list(reversed(trials)), dict[str, tuple[Trial, ForkProcess, float]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            trial = waiting.pop()
            process = context.Process(target=_tested, args=(trial, log_of(logs, trial.key)))
            process.start()
            running[trial.key] = (trial, process, time.monotonic())
        time.sleep(0.02)
        for trial, process, begun in list(running.values()):
            seconds = time.monotonic() - begun
            if process.is_alive() and seconds < trial.limit_s:
                continue
            late = process.is_alive()
            if late:
                process.kill()
            process.join()
            del running[trial.key]
            code = process.exitcode
            assert code is not None
            if not late and code not in (OK, *FAILED) and code > 0:
                raise RuntimeError(f"{trial.key}: pytest ended with {code}; see {logs}")
            yield Result(trial.key, "timeout" if late else "survived" if code == OK else "killed", seconds)


def _tested(trial: Trial, log: Path) -> None:
    """In the child: pytest, whose exit code is the process's."""
    to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(to, 1)
    os.dup2(to, 2)
    os.environ.update(trial.environment)
    serve(trial.modules)
    import pytest

    code = pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *trial.tests])
    sys.stdout.flush()
    os._exit(int(code))
