"""Carry out what is not done yet, each command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import ROOT
from bench.reproductions.tasks import Command, Task
from fastvae.train.runs.folder import RunFolder

_PROGRAMS: Final = {"python": (sys.executable,), "fastvae": (sys.executable, "-m", "fastvae")}


class Place(NamedTuple):
    """Where tasks are carried out.

    Attributes:
        data: the folder of the four MNIST files.
        out: the folder of the tasks' folders.
        threads: of each command.
    """

    data: Path
    out: Path
    threads: int


def carry_out(task: Task, place: Place) -> int:
    """Run the commands of a task that are not done yet, up to one that fails; returns its exit status, or 0."""
    folder = place.out / task.name
    folder.mkdir(parents=True, exist_ok=True)
    for command in task.commands:
        if command.done(folder):
            continue
        # OMP_NUM_THREADS is for commands that take no number of threads.
        environment = {**os.environ, "OMP_NUM_THREADS": str(place.threads)}
        status = subprocess.run(line(command, folder, place), cwd=ROOT, env=environment, check=False).returncode
        if status:
            return status
    return 0


def line(command: Command, folder: Path, place: Place) -> Sequence[str]:
    """The command line; for a training that was interrupted, the one that continues it."""
    interrupted = command.continues and RunFolder(folder).checkpoint_file.exists()
    program, *words = command.continues if interrupted else command.words
    places = {**place._asdict(), "folder": folder}
    return [*_PROGRAMS[program], *(word.format(**places) for word in words)]
