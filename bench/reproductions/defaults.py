"""What ``fastvae train`` reaches on the bundled digits, over seeds: ``python -m bench.reproductions.defaults``.

Writes the table of docs/training.md, of the defaults and of others beside them.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import fmean
from typing import Final, NamedTuple

import click
import torch

from bench import ROOT, pages
from fastvae.train import commands
from fastvae.train.data import datasets
from fastvae.train.evaluation import latent_use
from fastvae.train.loop.trainer import Trainer
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import best
from fastvae.train.settings import resolve

# The defaults, then each with one of them changed.
SETTINGS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("--lr", "0.005"),
    ("--latent-dim", "8"),
    ("--dropout", "0"),
    ("--hidden", "256,128"),
    ("--validation", "0"),
    ("--condition", "label"),
)
_HEADER: Final = ("`fastvae train`", "test ELBO", "least", "greatest", "units active", "none collapsed", "epoch kept")


class Found(NamedTuple):
    """What a run has reached, with the weights that it keeps.

    Attributes:
        elbo: of the test images, in nats per image.
        active, collapsed: dimensions of the latent, see `fastvae.train.evaluation.latent_use`.
        epoch: that the weights are of.
    """

    elbo: float
    active: int
    collapsed: int
    epoch: int


def trained(options: Sequence[str], seed: int) -> Found:
    """A run of `fastvae train` with these options, which leaves nothing behind."""
    line = commands.train.make_context("fastvae train", [*options, "--seed", str(seed)])
    config = resolve.new({name: value for name, value in line.params.items() if value is not None})
    torch.set_num_threads(config.threads)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        trainer = Trainer(config, datasets.load(config.data, config.data_dir), RunFolder(Path(folder)))
        trainer.fit()
    chosen = best(trainer.history)
    use = latent_use.measured(trainer.trained, config, trainer.data.test)
    assert use is not None
    return Found(chosen.test_elbo, use.active_units, len(use.collapsed), chosen.epoch)


def row(options: Sequence[str], runs: Sequence[Found]) -> list[str]:
    """A line of the table."""
    elbos = [run.elbo for run in runs]
    active, epochs = ([getattr(run, name) for run in runs] for name in ("active", "epoch"))
    return [
        f"`{' '.join(options)}`" if options else "by default",
        *(f"{value:.1f}" for value in (fmean(elbos), min(elbos), max(elbos))),
        _span(active),
        f"{sum(not run.collapsed for run in runs)} of {len(runs)}",
        _span(epochs),
    ]


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=8, show_default=True, help="Runs of each setting.")
@click.option("--page", type=click.Path(path_type=Path), default=ROOT / "docs" / "training.md")
def main(seeds: int, page: Path) -> None:
    """Train on the bundled digits with several seeds and settings, and write the table into PAGE."""
    rows = []
    for options in SETTINGS:
        rows.append(row(options, [trained(options, seed) for seed in range(seeds)]))
        click.echo("  ".join(rows[-1]))
    said = f"Seeds 0 to {seeds - 1}, torch {torch.__version__}."
    pages.write(page, {"defaults": f"{pages.table(_HEADER, rows)}\n\n{said}"})


if __name__ == "__main__":
    main()
