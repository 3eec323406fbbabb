"""The commands: options in, one function call each, results out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastvae.train import checkout, options, training
from fastvae.train import info as machine
from fastvae.train.data import datasets
from fastvae.train.data.datasets import Split
from fastvae.train.errors import UserError
from fastvae.train.evaluation.evaluate import evaluated
from fastvae.train.models import build
from fastvae.train.models.build import Model
from fastvae.train.pictures import run as pictures
from fastvae.train.pictures import samples
from fastvae.train.processes import group
from fastvae.train.quality.asked import Asked
from fastvae.train.report import embedded, finished, page
from fastvae.train.runs import atomic, weights
from fastvae.train.runs import folder as run_folder
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.resume import resumed
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config
from fastvae.train.studies import compare as comparison
from fastvae.train.studies import quadrants as completion

_run_argument = click.argument("run", type=click.Path(path_type=Path))
_data_dir_option = options.setting("data_dir")
_device_option = options.setting("device")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(run_folder.versions()["fastvae"], message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Train, evaluate and look at variational autoencoders on fused kernels.

    Begin with `fastvae train`. RUN is the folder that it writes.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@cli.command()
@options.settings
@click.option("--out", metavar="DIR", help="A new folder for the run. [default: runs/DATA-TIME]")
@click.option("--resume", metavar="RUN", help="Continue a run; with a larger --epochs, go further.")
@click.option(
    "--shard-parameters",
    is_flag=True,
    default=None,
    help="Leave each process its part of the parameters (FSDP), not a copy of all.",
)
def train(out: str | None, resume: str | None, shard_parameters: bool | None, **values: Any) -> None:
    """Train a VAE; with no options, a small one on the bundled digits.

    On several processes: torchrun --nproc-per-node N -m fastvae train ...
    """
    if resume is not None and out is not None:
        raise UserError("--out: got a folder with --resume, which continues in the run's own; takes one of the two")
    folder = None if resume is None else RunFolder(Path(resume))
    explicit = options.explicit(values)
    config = resolve.new(explicit) if folder is None else resumed(folder, explicit)
    training.run(config, folder, out, shard_parameters=bool(shard_parameters))


def _open(run: Path, device: str | None) -> tuple[RunFolder, Config, Model]:
    """A trained run and its model on `device`."""
    folder = RunFolder(run)
    config = folder.read_config()
    where = group.started().device(resolve.device(device or "auto"))
    model = build.create(config)
    weights.load(model, folder)
    return folder, config, model.to(where)


def _test_part(config: Config, data_dir: str | None, model: Model) -> Split:
    """The test images of a run, from where its data is now, on the device of its model."""
    if data_dir is not None:
        config = resolve.changed(config, {"data_dir": data_dir})
    return datasets.load_part(part="test", **config.dataset).to(next(model.parameters()).device)


@cli.command()
@_run_argument
@click.option("--num-samples", type=click.IntRange(min=1), help="Also log p(x), by this many importance samples.")
@click.option("--ssim", is_flag=True, help="Also the SSIM of reconstructions.")
@click.option(
    "--fid", type=_file, metavar="FILE", help="Also the FID of samples, by features of this TorchScript network."
)
@click.option("--kid", type=_file, metavar="FILE", help="Also their KID, by such features.")
@_data_dir_option
@_device_option
def evaluate(
    run: Path,
    num_samples: int | None,
    ssim: bool,
    fid: Path | None,
    kid: Path | None,
    data_dir: str | None,
    device: str | None,
) -> None:
    """Evaluate RUN on its test images: the ELBO, which latent dimensions it uses, the PSNR of reconstructions.

    Also into evaluation.json. SSIM, FID and KID need fastvae[metrics].

    On several processes: torchrun --nproc-per-node N -m fastvae evaluate ...
    """
    with group.join(resolve.device(device or "auto")):
        folder, config, model = _open(run, device)
        result: dict[str, Any] = {}
        asked = Asked(ssim, fid, kid)
        for found, said in evaluated(model, config, _test_part(config, data_dir, model), num_samples, asked):
            result |= found
            if group.rank() == 0:
                for line in said:
                    click.echo(line)
        if group.rank() == 0:
            atomic.write_json(folder.evaluation_file, result)
            click.echo(str(folder.evaluation_file))


@cli.command()
@_run_argument
@click.option("-n", "--number", type=click.IntRange(min=1), default=64, show_default=True, help="How many images.")
@click.option(
    "--seed", type=click.IntRange(min=0, max=2**63 - 1), default=0, show_default=True, help="Seed of the latents."
)
@click.option("--label", type=click.IntRange(min=0), help="Of a label-conditioned run. [default: each in turn]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="A .png, .npy or .npz file. [default: RUN/generated.png, of other data than images .npy]",
)
@_device_option
def sample(run: Path, number: int, seed: int, label: int | None, out: Path | None, device: str | None) -> None:
    """Draw images from the model of RUN, with latents from the prior."""
    folder, config, model = _open(run, device)
    path = folder.path / samples.default_name(config) if out is None else out
    samples.save(model, config, number, label, seed, path)
    click.echo(str(path))


@cli.command()
@_run_argument
@_data_dir_option
@_device_option
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(pictures.NAMES),
    help="A picture by its name; may be given several times. [default: all that the run has]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(pictures.FORMATS),
    default=pictures.FORMATS[0],
    show_default=True,
    help="Of the files.",
)
@click.option("--out", type=click.Path(path_type=Path), help="A folder for them. [default: RUN]")
def plot(
    run: Path, data_dir: str | None, device: str | None, only: tuple[str, ...], kind: str, out: Path | None
) -> None:
    """Draw the pictures of RUN again."""
    folder, config, model = _open(run, device)
    note = pictures.note(config)
    if note is not None:
        click.echo(note)
    test, history = _test_part(config, data_dir, model), folder.read_metrics()
    for name in pictures.draw(folder, config, model, test, history, only=only, out=out, kind=kind):
        click.echo(str((out or folder.path) / name))


@cli.command()
@_run_argument
@click.option("--out", type=click.Path(path_type=Path), help=f"An .html file. [default: RUN/{page.NAME}]")
def report(run: Path, out: Path | None) -> None:
    """Write one HTML page of RUN that holds all of it: settings, metrics, pictures and evaluation.

    Also of a folder of fastvae.fit. A run of `fastvae train` without pictures gets them first, as by `fastvae plot`.
    """
    found, config = finished.read(run)
    path = page.destination(found.folder, out)
    if config is not None and not embedded.files(found.folder):
        folder, config, model = _open(run, None)
        pictures.draw(folder, config, model, _test_part(config, None, model), found.history)
    page.write(found, path)
    click.echo(str(path))


@cli.command()
@click.argument("runs", metavar="RUN RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help=f"The picture, a {', '.join(comparison.SUFFIXES)} file; the table goes beside it as .csv.",
)
@_data_dir_option
@_device_option
def compare(runs: tuple[Path, ...], out: Path, data_dir: str | None, device: str | None) -> None:
    """Compare two or more RUNs on the same data: their test ELBOs, and a picture with a column for each."""
    comparison.check(runs, out)
    opened = []
    for folder, config, model in (_open(run, device) for run in runs):
        test = _test_part(config, data_dir, model)
        opened.append(comparison.opened(folder, config, model, test))
    for line in comparison.write(opened, out):
        click.echo(line)
    for file in (out, comparison.table_file(out)):
        click.echo(str(file))


@cli.command()
@options.setting("data_dir")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the study; one begun goes on.")
@click.option(
    "--num-samples", type=click.IntRange(min=1), default=100, show_default=True, help="Latents for each image."
)
@options.setting("epochs")
@options.setting("device")
@options.setting("seed")
@options.setting("threads")
def quadrants(out: Path, num_samples: int, **values: Any) -> None:
    """Complete MNIST from 1, 2 and 3 quadrants with four models (Sohn et al. 2015). Writes table.csv and pictures."""
    for line in completion.lines(completion.study(options.explicit(values), out, num_samples)):
        click.echo(line)


@cli.command()
def info() -> None:
    """Show versions, devices and kernels."""
    for line in machine.lines():
        click.echo(line)


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def bench(ctx: click.Context, arguments: tuple[str, ...]) -> Any:
    """Measure the kernels beside PyTorch's, from a checkout of the repository, where it takes more options."""
    return checkout.bench(arguments, ctx.get_help())
