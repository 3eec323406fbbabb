"""One run of a guide, and the rows that several make."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch

from bench.guides.studies import ACTIVE, COLLAPSED, NUMBERS
from fastvae import VAE
from fastvae.train import commands
from fastvae.train.data import datasets
from fastvae.train.data.datasets import Split
from fastvae.train.evaluation import evaluate
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models.build import Model
from fastvae.train.quality.asked import Asked
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config


class Run(NamedTuple):
    """A finished run.

    Attributes:
        model, config, test: with the weights that it keeps; its test images.
        found: what `fastvae evaluate` says of it, and the ``correlation`` of a VAE's posterior means.
    """

    model: Model
    config: Config
    test: Split
    found: dict[str, Any]


def trained(options: str, seed: int, num_samples: int | None = None) -> Run:
    """`fastvae train` with these options, then `fastvae evaluate`; nothing is left behind.

    Args:
        options: of the command line.
        seed: of the run.
        num_samples: of the log-likelihood; None for none.
    """
    line = commands.train.make_context("fastvae train", [*options.split(), "--seed", str(seed)])
    config = resolve.new({name: value for name, value in line.params.items() if value is not None})
    torch.set_num_threads(config.threads)
    data = datasets.load(**config.dataset)
    if config.objective == "tc":
        kept, _ = datasets.hold_out(data.train, config.validation)
        config = resolve.changed(config, {"dataset_size": kept.size})
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        trainer = Trainer(config, data, RunFolder(Path(folder)))
        trainer.fit()
    model, test = trainer.trained, trainer.data.test
    found: dict[str, Any] = {}
    for values, _ in evaluate.evaluated(model, config, test, num_samples, Asked()):
        found |= values
    if isinstance(model, VAE):
        found["correlation"] = _greatest_correlation(model, test)
    return Run(model, config, test, found)


@torch.no_grad()
def _greatest_correlation(model: VAE, test: Split) -> float:
    """The greatest absolute correlation, over the test images, between the means of two active dimensions."""
    means = torch.cat([model.encode(images).mu for images, _ in test.batches()])
    active = means[:, means.var(0) > 0.01]
    if active.shape[1] < 2:
        return 0.0
    return float((torch.corrcoef(active.T) - torch.eye(active.shape[1])).abs().max())


def cells(columns: Sequence[str], runs: Sequence[dict[str, Any]]) -> list[str]:
    """What a row says of the runs of several seeds: means, and of counts the least and the greatest."""
    return [_cell(column, runs) for column in columns]


def _cell(column: str, runs: Sequence[dict[str, Any]]) -> str:
    if column == ACTIVE:
        return _span([run["active_units"] for run in runs if "active_units" in run])
    if column == COLLAPSED:
        return _span([len(run["collapsed"]) for run in runs])
    name, decimals = NUMBERS[column]
    values = [run[name] for run in runs if name in run]
    return f"{fmean(values):.{decimals}f}" if values else ""


def _span(values: Sequence[int]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
