"""The commands: options in, one function call each, results out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import torch

from fastvae import VAE
from fastvae.train import atomic, checkout, comparison, data, drawing, evaluation, model, run_folder, settings
from fastvae.train import info as machine
from fastvae.train.config import AMP, DATA, DEVICES, ESTIMATORS, LIKELIHOODS, MODELS, PARAMETERIZATIONS, Config
from fastvae.train.errors import InterruptedRunError, UserError
from fastvae.train.presets import BY_DATA, COMMON, PRESETS
from fastvae.train.run_folder import RunFolder
from fastvae.train.sampling import save_samples
from fastvae.train.trainer import Trainer

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Widths(click.ParamType[tuple[int, ...]]):
    name = "widths"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return () if value == "none" else tuple(int(width) for width in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 512,256, nor none", param, ctx)


def _setting(field: str, kind: click.ParamType[Any] | type, text: str, **more: Any) -> Callable[[_Command], _Command]:
    """The option of a field of the config, with its default in its help."""
    if field in COMMON:
        default = str(COMMON[field])
    else:
        values = ((name, row[field]) for name, row in BY_DATA.items())
        default = ", ".join(f"{','.join(map(str, v)) if isinstance(v, tuple) else v} ({name})" for name, v in values)
    return click.option(settings.option(field), type=kind, help=f"{text} [default: {default}]", **more)


def _flag(field: str, text: str) -> Callable[[_Command], _Command]:
    """The pair of options of a field that is true or false."""
    name = settings.option(field)
    default = "yes" if COMMON[field] else "no"
    return click.option(f"{name}/--no-{name[2:]}", default=None, help=f"{text} [default: {default}]")


_PRESETS: Final = "; ".join(
    f"{name}: {row['model']}, latent dimension {row['latent_dim']}, on {row['data']}" for name, row in PRESETS.items()
)
_run_argument = click.argument("run", type=click.Path(path_type=Path))
_data_dir_option = click.option("--data-dir", metavar="DIR", help="Folder of the four MNIST files, gzipped or not.")
_device_option = _setting("device", click.Choice(DEVICES), "Where to compute; auto takes CUDA if there.")


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
@click.option(
    "--preset", type=click.Choice(tuple(PRESETS)), help=f"A published write-up ({_PRESETS}); other options override it."
)
@_setting("data", click.Choice(DATA), "Images to train on.")
@_data_dir_option
@_flag("binarize", "Make every pixel black or white.")
@_setting("model", click.Choice(MODELS), "Kind of networks.")
@_setting("hidden", _Widths(), "Widths of the encoder's dense layers, such as 512,256, or none.")
@click.option("--decoder-hidden", type=_Widths(), help="Those of the decoder. [default: the encoder's in reverse]")
@_setting("latent_dim", int, "Size of the latent; 2 adds a picture of it.")
@_setting("parameterization", click.Choice(PARAMETERIZATIONS), "What the encoder gives beside the mean.")
@_setting("likelihood", click.Choice(LIKELIHOODS), f"p(x|z) of a pixel: {', '.join(LIKELIHOODS)}.", metavar="NAME")
@_setting("kl_estimator", click.Choice(ESTIMATORS), "The KL in closed form, or at the sample.")
@_setting("beta", float, "Weight of the KL.")
@_setting("batch_size", int, "Images per step.")
@_setting("epochs", int, "Passes over the training images.")
@_setting("lr", float, "Learning rate of Adam.")
@_flag("keep_weights", "Keep the weights after every epoch, in weights/.")
@_device_option
@_setting("amp", click.Choice(AMP), "Mixed precision in training.")
@_flag("compile", "Train through torch.compile.")
@_setting("seed", int, "Seed of the weights, the order of the images and the noise.")
@click.option("--threads", type=int, help="CPU threads. [default: 1 (digits), torch's (mnist)]")
@click.option("--out", metavar="DIR", help="A new folder for the run. [default: runs/DATA-TIME]")
@click.option("--resume", metavar="RUN", help="Continue a run; with a larger --epochs, go further.")
def train(out: str | None, resume: str | None, **values: Any) -> None:
    """Train a VAE; with no options, a small one on the bundled digits."""
    given = {name: value for name, value in values.items() if value is not None}
    if resume is not None and out is not None:
        raise UserError("--out: got a folder with --resume, which continues in the run's own; takes one of the two")
    folder = None if resume is None else RunFolder(Path(resume))
    config = settings.new(given) if folder is None else settings.resumed(folder, given)
    dataset = data.load(config.data, config.data_dir, binarize=config.binarize)
    torch.set_num_threads(config.threads)
    if folder is None:
        folder = run_folder.create(out, config.data)
    trainer = Trainer(config, dataset, folder)
    done = len(trainer.history)
    if config.epochs < done:
        raise UserError(f"--epochs: got {config.epochs}; takes at least the {done} that {folder.path} has trained")
    folder.write_config(config)
    click.echo(_headline(config, dataset, trainer, done))
    try:
        trainer.fit()
        trainer.save()
        names = drawing.draw(folder, config, trainer.model, trainer.data.test, trainer.history)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted after epoch {len(trainer.history)}; continue with: fastvae train --resume {folder.path}"
        ) from None
    click.echo(f"test {trainer.history[-1].test}")
    files = (folder.config_file, folder.metrics_file, folder.weights_file, folder.checkpoint_file)
    click.echo(f"{folder.path}: {', '.join([*(file.name for file in files), *names])}")


def _headline(config: Config, dataset: data.Data, trainer: Trainer, done: int) -> str:
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    beginning = f"resuming after epoch {done}: " if done else ""
    return (
        f"{beginning}{config.data}, {len(dataset.train.labels)} training and {len(dataset.test.labels)} test images; "
        f"{config.model}, {parameters} parameters, latent dimension {config.latent_dim}, {config.likelihood}; "
        f"{config.device}, {config.threads} thread{'s' * (config.threads > 1)}"
    )


def _open(run: Path, device: str | None) -> tuple[RunFolder, Config, VAE]:
    """A trained run and its model on `device`."""
    folder = RunFolder(run)
    config = folder.read_config()
    where = torch.device(settings.device(device or "auto"))
    vae = model.create(config)
    model.load_weights(vae, folder)
    return folder, config, vae.to(where)


def _test_part(config: Config, data_dir: str | None, vae: VAE) -> data.Split:
    """The test images of a run, from where its data is now, on the device of its model."""
    if data_dir is not None:
        config = settings.changed(config, {"data_dir": data_dir})
    test = data.load_part(config.data, config.data_dir, "test", binarize=config.binarize)
    return test.to(next(vae.parameters()).device)


@cli.command()
@_run_argument
@click.option("--num-samples", type=click.IntRange(min=1), help="Also log p(x), by this many importance samples.")
@_data_dir_option
@_device_option
def evaluate(run: Path, num_samples: int | None, data_dir: str | None, device: str | None) -> None:
    """Evaluate RUN on its test images: the ELBO, and which latent dimensions it uses; also into evaluation.json."""
    folder, config, vae = _open(run, device)
    test = _test_part(config, data_dir, vae)
    means = evaluation.elbo(vae, test, config.seed, model.log_normalizer(config))
    use = evaluation.latent_use(vae, test.images)
    click.echo(f"test {means}")
    click.echo(f"latent: {use}")
    result = {"images": len(test.labels), **means._asdict(), **use.as_dict()}
    if num_samples is not None:
        found = evaluation.log_likelihood(vae, test, config.seed, num_samples)
        click.echo(
            f"test log-likelihood {found['log_likelihood']:.2f} nats/image (standard error over images "
            f"{found['log_likelihood_standard_error']:.2f}, {num_samples} importance samples)"
        )
        result |= found
    atomic.write_json(folder.evaluation_file, result)
    click.echo(str(folder.evaluation_file))


@cli.command()
@_run_argument
@click.option("-n", "--number", type=click.IntRange(min=1), default=64, show_default=True, help="How many images.")
@click.option(
    "--seed", type=click.IntRange(min=0, max=2**63 - 1), default=0, show_default=True, help="Seed of the latents."
)
@click.option("--out", type=click.Path(path_type=Path), help="A .png, .npy or .npz file. [default: RUN/generated.png]")
@_device_option
def sample(run: Path, number: int, seed: int, out: Path | None, device: str | None) -> None:
    """Draw images from the model of RUN, with latents from the prior."""
    path = RunFolder(run).path / "generated.png" if out is None else out
    _, _, vae = _open(run, device)
    save_samples(vae, number, seed, path)
    click.echo(str(path))


@cli.command()
@_run_argument
@_data_dir_option
@_device_option
def plot(run: Path, data_dir: str | None, device: str | None) -> None:
    """Draw the pictures of RUN again."""
    folder, config, vae = _open(run, device)
    for name in drawing.draw(folder, config, vae, _test_part(config, data_dir, vae), folder.read_metrics()):
        click.echo(str(folder.path / name))


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
    for folder, config, vae in (_open(run, device) for run in runs):
        test = _test_part(config, data_dir, vae)
        opened.append(comparison.Run(folder, config, vae, test, folder.read_metrics()))
    for line in comparison.write(opened, out):
        click.echo(line)
    for file in (out, comparison.table_file(out)):
        click.echo(str(file))


@cli.command()
def info() -> None:
    """Show versions, devices and kernels."""
    for line in machine.lines():
        click.echo(line)


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> Any:
    """Measure the kernels beside PyTorch's, from a checkout."""
    return checkout.benchmarks().main(list(arguments), prog_name="fastvae bench", standalone_mode=False)
