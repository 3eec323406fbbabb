"""What a run has left, in its own folder or in the one where it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch

KEPT: Final = "kept.json"


class Kept(NamedTuple):
    """Where and when a task was run.

    Attributes:
        cpu: its name.
        finished: the day, as ``2026-01-31``.
        note: what else is to be known about it, such as what ran beside it.
    """

    cpu: str
    finished: str
    note: str


class FinishedRun(NamedTuple):
    """A finished run.

    Attributes:
        config, versions: the parts of config.json.
        history: the rows of metrics.csv.
        evaluation: evaluation.json, empty where there is none.
    """

    config: dict[str, Any]
    versions: dict[str, str]
    history: list[Epoch]
    evaluation: dict[str, Any]

    @property
    def last(self) -> Epoch:
        """The row of the last epoch."""
        return self.history[-1]


Value = Callable[[FinishedRun], float | None]


def read(path: Path) -> FinishedRun | None:
    """The run in a folder; None where there is none.

    Raises:
        UserError: its metrics are damaged.
    """
    folder = RunFolder(path)
    if not (folder.config_file.exists() and folder.metrics_file.exists()):
        return None
    # Not as a Config: a kept one names no folder of data, and may be an older version's.
    written = read_json(folder.config_file)
    evaluation = read_json(folder.evaluation_file) if folder.evaluation_file.exists() else {}
    return FinishedRun(written["config"], written["versions"], folder.read_metrics(), evaluation)


def read_kept(path: Path) -> Kept | None:
    """Where and when the task kept in a folder was run; None where nothing is kept."""
    file = path / KEPT
    return Kept(**read_json(file)) if file.exists() else None


def read_json(path: Path) -> dict[str, Any]:
    """An object in a file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def metrics(path: Path) -> dict[str, Any] | None:
    """What a study has left in metrics.json; None where there is none."""
    file = path / "metrics.json"
    return read_json(file) if file.exists() else None


def metric(name: str, sign: int = 1) -> Value:
    """A column of the last row of metrics.csv."""
    return lambda result: sign * float(getattr(result.last, name))


def squared_error(result: FinishedRun) -> float:
    """Of the test images, summed over pixels: test_reconstruction without its normalizer."""
    return result.last.test_loss - float(result.config["beta"]) * result.last.test_kl


def negative_log_likelihood(result: FinishedRun) -> float | None:
    """By importance sampling, where `fastvae evaluate` was asked for it."""
    found = result.evaluation.get("log_likelihood")
    return None if found is None else -float(found)
