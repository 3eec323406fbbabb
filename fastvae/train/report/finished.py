"""A run as its page tells of it, whether `fastvae train` or `fastvae.fit` has made it."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fastvae.train.evaluation.legend import Legend
from fastvae.train.loop.task import Wording
from fastvae.train.models import objectives
from fastvae.train.python.folder import FitFolder
from fastvae.train.python.task import LossAlone, WithParts
from fastvae.train.report import settings
from fastvae.train.report.settings import Settings
from fastvae.train.report.tables import duration
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch, best
from fastvae.train.settings import architecture
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import shown
from fastvae.train.settings.training import Training


class Run(NamedTuple):
    """What a page says beside its pictures and tables.

    Attributes:
        folder: of the run.
        title: what was trained.
        result: what it has come to, in one line.
        facts: what was trained on what, how long and when, by name.
        legend: what the numbers are.
        settings: all of them.
        history: a row for each epoch.
        versions: that decide its numbers, by package.
    """

    folder: RunFolder
    title: str
    result: str
    facts: dict[str, str]
    legend: str
    settings: Settings
    history: list[Epoch]
    versions: dict[str, str]


def read(path: Path) -> tuple[Run, Config | None]:
    """The run in a folder; with its config where `fastvae train` has made it.

    Raises:
        UserError: there is no run, or a file of it is damaged.
        OSError: a file is missing or cannot be read.
    """
    if FitFolder(path).config_file.exists():
        return _of_fit(FitFolder(path)), None
    folder = RunFolder(path)
    config = folder.read_config()
    return _of_run(folder, config), config


def _of_run(folder: RunFolder, config: Config) -> Run:
    history = folder.read_metrics()
    legend = Legend(config, objectives.log_normalizer(config))
    return Run(
        folder,
        f"{config.data_name}, {config.model}",
        f"test {legend.line(best(history).test)}",
        _facts(config) | _training(folder, config, history),
        legend.text,
        settings.of_run(config),
        history,
        folder.read_versions(),
    )


def _facts(config: Config) -> dict[str, str]:
    """What was trained on what."""
    labels = f", {config.labels} labels" if config.labels else ""
    facts = {
        "data": f"{config.data_name}: {' x '.join(map(str, config.shape))} {_VALUES[config.values]}{labels}",
        "model": f"{config.model}, likelihood {config.likelihood}",
        "latent": f"{architecture.latent(config)}, prior {config.prior}",
        "objective": config.objective,
    }
    if config.condition != "none":
        facts["condition"] = config.condition
    if config.objective == "baseline":
        del facts["latent"]
    return facts


_VALUES = {"bytes": "bytes", "unit": "numbers in [0, 1]", "real": "numbers", "counts": "counts"}


def _of_fit(folder: FitFolder) -> Run:
    trained, model = folder.read_settings()
    history = folder.read_metrics()
    kept = best(history)
    legend: Wording = LossAlone() if math.isnan(kept.train_elbo) else WithParts()
    return Run(
        folder,
        model,
        ", ".join(filter(None, (legend.measured(kept), legend.trained(kept)))),
        {"model": f"{model}, by fastvae.fit"} | _training(folder, trained, history),
        legend.text,
        settings.of_fit(trained),
        history,
        folder.read_versions(),
    )


def _training(folder: RunFolder, trained: Training, history: list[Epoch]) -> dict[str, str]:
    """How long, and when, which only the file system knows."""
    kept, done = best(history), len(history)
    chosen = ", the least validation loss" if kept.validation_loss is not None else ""
    threads = getattr(trained, "threads", None)
    cores = "" if threads is None or trained.device != "cpu" else f", {threads} thread{'s' * (threads > 1)}"
    written = datetime.fromtimestamp(folder.metrics_file.stat().st_mtime).astimezone()
    return {
        "epochs": f"{done} of {shown(trained.epochs)}; weights of epoch {kept.epoch}{chosen}",
        "training time": f"{duration(history[-1].seconds)} on {trained.device}{cores}",
        "last epoch": f"{written:%Y-%m-%d %H:%M %Z} (time of {folder.metrics_file.name})",
    }
