"""One run of ``fastvae train``, from its config to the last line that it prints."""

from __future__ import annotations

from collections.abc import Sequence

import click
import torch

from fastvae.train.data import datasets
from fastvae.train.errors import InterruptedRunError, UserError
from fastvae.train.loop import report
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models import batches
from fastvae.train.pictures import run as pictures
from fastvae.train.processes import group
from fastvae.train.report import finished, page
from fastvae.train.runs import folder as run_folder
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config
from fastvae.train.settings.kinds import DIVIDED, of_whole_batches


def run(config: Config, folder: RunFolder | None, out: str | None, *, shard_parameters: bool) -> None:
    """Train, on all processes that torchrun started; the first one prints, draws and writes.

    Args:
        config: of the run.
        folder: of a run that goes on; None for a new one.
        out: where a new one goes, see `fastvae.train.runs.folder.create`.
        shard_parameters: leave every process its part of the parameters.

    Raises:
        UserError: what a user can correct.
    """
    _check(config, shard_parameters=shard_parameters)
    with group.join(config.device):
        _run(config, folder, out, shard_parameters=shard_parameters)


def _check(config: Config, *, shard_parameters: bool) -> None:
    """The run can be divided among the processes that there are."""
    several = group.started().processes > 1
    cause = of_whole_batches(config.model_dump())
    if several and cause is not None:
        raise UserError(f"--nproc-per-node: got several processes with {cause}, which needs whole batches; takes 1")
    if several and config.prior == "vamp" and config.dropout:
        raise UserError(
            "--dropout: got a value with --prior vamp on several processes, whose pseudo-inputs are no rows of "
            "a batch; takes 0"
        )
    if shard_parameters and not several:
        raise UserError("--shard-parameters: got one process; takes several, which torchrun starts")
    if shard_parameters and config.prior == "vamp":
        raise UserError("--prior: got 'vamp' with --shard-parameters, whose encoder it calls in parts; takes another")
    if shard_parameters and config.amp == "fp16":
        raise UserError("--amp: got 'fp16' with --shard-parameters; takes none or bf16")


def _run(config: Config, folder: RunFolder | None, out: str | None, *, shard_parameters: bool) -> None:
    dataset = datasets.load(**config.dataset)
    if config.objective in DIVIDED:
        parts = datasets.hold_out(dataset.train, config.validation, binarize=config.binarize)
        training, validation = (len(part.labels) for part in parts)
        if config.dataset_size is None:
            config = resolve.changed(config, {"dataset_size": training})
        batches.check(config, training=training, validation=validation, test=len(dataset.test.labels))
    torch.set_num_threads(config.threads)
    with run_folder.claimed(folder, out, config.data_name) as folder:
        trainer = Trainer(config, dataset, folder, shard_parameters=shard_parameters)
        if group.rank() == 0:
            folder.write_config(config)
            click.echo(report.headline(trainer, len(trainer.history)))
            click.echo(trainer.legend.text)
        try:
            trainer.fit()
            if group.rank() == 0:
                names = pictures.draw(folder, config, trainer.trained, trainer.data.test, trainer.history)
                _report(trainer, [*names, _page(folder)])
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted after epoch {len(trainer.history)}; continue with: fastvae train --resume {folder.path}"
            ) from None


def _page(folder: RunFolder) -> str:
    """Write the page of a finished run; returns the name of its file."""
    found, _ = finished.read(folder.path)
    page.write(found, page.destination(folder, None))
    return page.NAME


def _report(trainer: Trainer, names: Sequence[str]) -> None:
    """What a finished run has come to, and the files that it left, pictures of these names among them."""
    config, folder = trainer.config, trainer.folder
    for line in report.results(trainer):
        click.echo(line)
    note = pictures.note(config)
    if note is not None:
        click.echo(note)
    files = (folder.config_file, folder.metrics_file, folder.weights_file, folder.checkpoint_file)
    click.echo(f"{folder.path}: {', '.join([*(file.name for file in files), *names])}")
