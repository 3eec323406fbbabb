"""Runs beside each other: what differs between their settings, and what they reached on the same test images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from fastvae import VAE
from fastvae.train.data.datasets import Split
from fastvae.train.errors import UserError
from fastvae.train.models.build import Model
from fastvae.train.pictures import comparison, saved
from fastvae.train.runs import atomic, metrics
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import shown

SUFFIXES: Final = (".png", ".pdf", ".svg")
# Settings that decide no number: where a run found or kept things, and what its settings are called.
_IRRELEVANT: Final = ("preset", "data_dir", "cache_dir", "keep_weights", "tensorboard", "threads")


class Run(NamedTuple):
    """A trained run, opened: `model` is on the device of `test`, its test images."""

    folder: RunFolder
    config: Config
    model: VAE
    test: Split
    history: list[Epoch]


def check(paths: Sequence[Path], out: Path) -> None:
    """What can be said of a mistake before anything is read.

    Raises:
        UserError: fewer than two runs, or a picture of another suffix or in a missing folder.
    """
    if len(paths) < 2:
        raise UserError(f"RUN: got {len(paths)}; takes at least 2 run folders")
    if out.suffix not in SUFFIXES:
        raise UserError(f"--out: got {out}; takes a file that ends in {', '.join(SUFFIXES)}")
    if not out.parent.is_dir():
        raise UserError(f"--out: {out.parent}: no such folder")


def opened(folder: RunFolder, config: Config, model: Model, test: Split) -> Run:
    """A run with its history.

    Raises:
        UserError: a conditional run, or its metrics are missing or damaged.
    """
    if not isinstance(model, VAE):
        raise UserError(f"RUN: {folder.path} has condition {config.condition!r}; takes runs with condition 'none'")
    return Run(folder, config, model, test, folder.read_metrics())


def write(runs: Sequence[Run], out: Path) -> list[str]:
    """Draw the picture `out`, and write the table beside it as CSV; returns the table as lines for a terminal.

    Raises:
        UserError: runs on different data.
    """
    _check_data(runs)
    fields = differing([run.config for run in runs])
    names = _names(runs, fields)
    columns = [
        comparison.column(name, run.config, run.model, run.test, run.history)
        for name, run in zip(names, runs, strict=True)
    ]
    saved.save(comparison.figure(columns, f"Runs on {_data(runs[0])}"), out)
    header = ("name", "reconstruction", "kl", "elbo", *fields, "run")
    atomic.write_csv(table_file(out), header, _rows(runs, names, fields))
    return _lines(runs, names)


def table_file(out: Path) -> Path:
    """The CSV beside the picture `out`."""
    return out.with_suffix(".csv")


def differing(configs: Sequence[Config]) -> list[str]:
    """The settings in which `configs` are not all alike, in the order of `Config`."""
    first = configs[0]
    return [
        field
        for field in Config.model_fields
        if field not in _IRRELEVANT and any(getattr(config, field) != getattr(first, field) for config in configs)
    ]


def _check_data(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs:
        if not run.test.same(first.test):
            raise UserError(
                f"RUN: the test images of {run.folder.path} ({_data(run)}) are not those of {first.folder.path} "
                f"({_data(first)}); takes runs on the same data"
            )


def _data(run: Run) -> str:
    how = run.config.binarize
    return run.config.data_name if how == "none" else f"{run.config.data_name}, binarized: {how}"


def _names(runs: Sequence[Run], fields: Sequence[str]) -> list[str]:
    """What differs, such as "beta 0.1"; the folder's name where that tells a run from no other."""
    names = [
        ", ".join(f"{field.replace('_', ' ')} {shown(getattr(run.config, field))}" for field in fields) for run in runs
    ]
    return [
        name if names.count(name) == 1 else ", ".join(filter(None, (name, run.folder.path.resolve().name)))
        for name, run in zip(names, runs, strict=True)
    ]


def _rows(runs: Sequence[Run], names: Sequence[str], fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for name, run in zip(names, runs, strict=True):
        test = metrics.best(run.history).test
        values = (shown(getattr(run.config, field)) for field in fields)
        yield name, test.reconstruction, test.kl, test.elbo, *values, run.folder.path


def _lines(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    header = ("run", "reconstruction", "KL", "ELBO")
    tests = [metrics.best(run.history).test for run in runs]
    values = [[f"{value:.2f}" for value in (test.reconstruction, test.kl, test.elbo)] for test in tests]
    rows = [header, *((name, *row) for name, row in zip(names, values, strict=True))]
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
        for row in rows
    ]
    return [f"{lines[0]}  (nats per test image)", *lines[1:]]
