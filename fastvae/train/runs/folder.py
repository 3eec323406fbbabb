"""The folder a run leaves behind: what is in it, how it is made, and how it is read back."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from fastvae.train.errors import UserError, first_problem
from fastvae.train.processes import group
from fastvae.train.runs import atomic, metrics
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.config import Config


def versions() -> dict[str, str]:
    """The versions that decide a run's numbers."""
    try:
        fastvae = version("fastvae")
    except PackageNotFoundError:
        fastvae = "not installed (run from its source)"
    return {
        "fastvae": fastvae,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


class _ConfigFile(BaseModel):
    config: Config
    versions: dict[str, str]


class RunFolder:
    """Where everything about one run is.

    Attributes:
        config_file: the settings, resolved, and the versions.
        metrics_file: one row per epoch.
        weights_file: the model with the weights that the run keeps, see `fastvae.train.runs.metrics.best`.
        checkpoint_file: all that resuming needs.
        evaluation_file: what `fastvae evaluate` found.
        events_folder: what TensorBoard reads, where a run logs for it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.metrics_file = path / "metrics.csv"
        self.weights_file = path / "weights.safetensors"
        self.checkpoint_file = path / "checkpoint.safetensors"
        self.evaluation_file = path / "evaluation.json"
        self.events_folder = path / "tensorboard"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Inside the block no other process may write to the run; one that is killed gives its claim up.

        Raises:
            UserError: another process has claimed it.
        """
        # A lock of the folder itself leaves no file behind.
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"{self.path}: another process is writing this run; takes another folder") from error
            yield
        finally:
            os.close(descriptor)

    def contents(self) -> list[str]:
        """The names of what is in it, but for files that a killed process has left unfinished."""
        return [file.name for file in self.path.iterdir() if not atomic.is_partial(file)]

    def epoch_weights_file(self, epoch: int) -> Path:
        """The model after `epoch`, where a run keeps them all."""
        return self.path / "weights" / f"epoch-{epoch:03}.safetensors"

    def write_config(self, config: Config) -> None:
        """Write `config.json`."""
        content = _ConfigFile(config=config, versions=versions())
        atomic.write_text(self.config_file, content.model_dump_json(indent=2) + "\n")

    def read_config(self) -> Config:
        """The settings of the run.

        Raises:
            UserError: this is not a run folder, or its config is damaged.
        """
        return self._read().config

    def read_versions(self) -> dict[str, str]:
        """What it was begun or last resumed with, see `versions`; raises what `read_config` does."""
        return self._read().versions

    def _read(self) -> _ConfigFile:
        if not self.path.is_dir():
            raise UserError(f"{self.path}: {'not a folder' if self.path.exists() else 'no such run folder'}")
        if not self.config_file.exists():
            raise UserError(f"{self.path}: not a run folder, it has no {self.config_file.name}")
        try:
            return _ConfigFile.model_validate_json(self.config_file.read_bytes())
        except ValidationError as error:
            raise UserError(f"{self.config_file}: {first_problem(error)}") from error

    def write_metrics(self, history: Sequence[Epoch]) -> None:
        """Write `metrics.csv`."""
        metrics.write(self.metrics_file, history)

    def read_metrics(self) -> list[Epoch]:
        """The rows of `metrics.csv`.

        Raises:
            UserError: the file is damaged.
            OSError: it cannot be read.
        """
        return metrics.read(self.metrics_file)


@contextmanager
def claimed(folder: RunFolder | None, out: str | None, data: str) -> Iterator[RunFolder]:
    """The folder of a run, made by `create` where there is none yet; inside the block no other run writes to it.

    Of several processes the first one makes and claims it for all.

    Raises:
        UserError: see `create` and `RunFolder.claimed`.
    """
    if group.rank():
        yield RunFolder(Path(group.of_first("")))
        return
    found = create(out, data) if folder is None else folder
    with found.claimed():
        if folder is None:
            check_free(found.path)
        group.of_first(str(found.path))
        yield found


def create(out: str | None, data: str) -> RunFolder:
    """A folder to begin a run in: `out`, or one under ``runs/`` named after the data and the time.

    Raises:
        UserError: `out` cannot be made, or does not pass `check_free`.
    """
    if out is None:
        return RunFolder(_made(Path("runs"), f"{data}-{datetime.now():%Y%m%d-%H%M%S}"))
    path = Path(out)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out: {path}: {error.strerror}") from error
    check_free(path)
    return RunFolder(path)


def _made(parent: Path, name: str) -> Path:
    """A new folder of this name, or with a number behind it where there is one already."""
    for number in range(1, 1000):
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"--out: {path}: {error.strerror}") from error
        return path
    raise UserError(f"--out: {parent / name} and 999 others exist; takes a new folder")


def check_free(path: Path) -> None:
    """A run may begin in `path`.

    Raises:
        UserError: it holds more than a run that ended before its first epoch did, or cannot be read.
    """
    try:
        free = _is_free(path)
    except OSError as error:
        raise UserError(f"--out: {path}: {error.strerror}") from error
    if not free:
        raise UserError(f"--out: {path} exists and is not empty; takes a new folder (--resume continues a run)")


def _is_free(path: Path) -> bool:
    """Empty, or with no more than the config of a run: one that failed or was killed in its first epoch."""
    folder = RunFolder(path)
    names = folder.contents()
    if names != [folder.config_file.name]:
        return not names
    try:
        folder.read_config()
    except UserError:
        return False
    return True
