"""The runs in plain PyTorch, as somebody without fastvae writes them: ``python -m bench.reproductions.plain``.

Networks, first weights, order of the images, optimizer and epochs are those of ``fastvae train`` with the same options;
the noise is torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import torch
import torch.nn.functional as T
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae.train import options
from fastvae.train.data import datasets
from fastvae.train.errors import UserError
from fastvae.train.loop.task import Configured
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models.build import Model
from fastvae.train.models.objectives import Loss
from fastvae.train.processes.group import Share
from fastvae.train.runs import folder as run_folder
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.resume import resumed
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config

_LOSSES: Final[dict[str, Callable[..., Tensor]]] = {
    "bernoulli": T.binary_cross_entropy_with_logits,
    "bernoulli_probs": T.binary_cross_entropy,
    "squared_error": T.mse_loss,
}


def _logvar(raw: Tensor, min_std: float) -> tuple[Tensor, Tensor]:
    return torch.exp(0.5 * raw), raw


def _std(raw: Tensor, min_std: float) -> tuple[Tensor, Tensor]:
    return raw, torch.log(raw**2)


def _softplus(raw: Tensor, min_std: float) -> tuple[Tensor, Tensor]:
    std = min_std + T.softplus(raw)
    return std, 2 * torch.log(std)


# From the encoder's second half to the standard deviation and the log-variance.
_SCALES: Final[dict[str, Callable[[Tensor, float], tuple[Tensor, Tensor]]]] = {
    "logvar": _logvar,
    "std": _std,
    "softplus": _softplus,
}


def _analytic(z: Tensor, mu: Tensor, std: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu**2 + std**2 - 1 - logvar).sum(1)


def _monte_carlo(z: Tensor, mu: Tensor, std: Tensor, logvar: Tensor) -> Tensor:
    return _log_normal(z, mu, logvar) - _log_normal(z, torch.zeros_like(mu), torch.zeros_like(mu))


def _log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return (-0.5 * ((z - mu) ** 2 * torch.exp(-logvar) + logvar + math.log(2 * math.pi))).sum(1)


_KLS: Final[dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]]] = {
    "analytic": _analytic,
    "monte_carlo": _monte_carlo,
}

_CODES: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "one_hot": lambda labels: T.one_hot(labels, 10).to(torch.float32),
    "number": lambda labels: labels.to(torch.float32)[:, None],
}

_TAKES: Final[dict[str, tuple[Any, ...]]] = {
    "binarize": ("none", "threshold"),
    "condition": ("none", "label"),
    "objective": ("elbo", "cvae"),
    "parameterization": tuple(_SCALES),
    "prior": ("standard",),
    "likelihood": tuple(_LOSSES),
    "train_samples": (1,),
    "kl_estimator": tuple(_KLS),
    "beta_schedule": ("constant",),
    "capacity": (None,),
    "free_bits": (0.0,),
}


class Plain(nn.Module):
    """The negative ELBO of a batch.

    Args:
        config: of the run.
        encoder: the image, and the label where the model is conditional, to mu and the raw scale side by side.
        decoder: the latent, and the label likewise, to the likelihood's parameters.

    Raises:
        UserError: a setting that is not written here.
    """

    def __init__(self, config: Config, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        for field, takes in _TAKES.items():
            value = getattr(config, field)
            if value not in takes:
                raise UserError(f"{resolve.option(field)}: got {value}; takes {' or '.join(map(str, takes))} here")
        if config.min_std and config.parameterization != "softplus":
            raise UserError(f"--min-std: got {config.min_std} with {config.parameterization}; takes softplus here")
        self.config = config
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images: Tensor, labels: Tensor, share: Share | None = None) -> Loss:
        """Images: uint8 ``[batch, 1, height, width]``; labels: int64 ``[batch]``; `share`: all of them."""
        config = self.config
        given = (_CODES[config.label_encoding](labels),) if config.condition == "label" else ()
        mu, raw = self.encoder(images, *given).chunk(2, dim=1)
        std, logvar = _SCALES[config.parameterization](raw, config.min_std)
        z = mu + std * torch.randn_like(std)
        x = images.to(torch.float32) / 255
        reconstruction = _LOSSES[config.likelihood](self.decoder(z, *given), x, reduction="none").flatten(1).sum(1)
        kl = _KLS[config.kl_estimator](z, mu, std, logvar)
        return Loss((reconstruction + config.beta * kl).mean(), reconstruction.detach(), kl.detach())


class PlainTask(Configured):
    """What fastvae trains, with a `Plain` objective over the networks of the model that is saved."""

    def objective(self, model: Model) -> nn.Module:
        """What is minimized."""
        if isinstance(model, VAE):
            return Plain(self.config, model.encoder, model.decoder)
        if isinstance(model, CVAE):
            return Plain(self.config, model.recognition, model.generation)
        raise UserError(f"--objective: got {self.config.objective}; takes elbo or cvae here")


class PlainTrainer(Trainer):
    """The training loop of fastvae on a `PlainTask`."""

    kind = PlainTask


@click.command()
@options.settings
@click.option("--out", metavar="DIR", help="A new folder for the run.")
@click.option("--resume", metavar="RUN", help="Continue a run.")
def main(out: str | None, resume: str | None, **values: Any) -> None:
    """Train a VAE in plain PyTorch; the options are those of `fastvae train`."""
    if (out is None) == (resume is None):
        raise click.UsageError("takes one of --out and --resume")
    given = {name: value for name, value in values.items() if value is not None}
    try:
        folder = None if resume is None else RunFolder(Path(resume))
        config = resolve.new(given) if folder is None else resumed(folder, given)
        dataset = datasets.load(config.data, config.data_dir, binarize=config.binarize)
        torch.set_num_threads(config.threads)
        folder = folder or run_folder.create(out, config.data)
        trainer = PlainTrainer(config, dataset, folder)
        folder.write_config(config)
        trainer.fit()
    except UserError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"test {trainer.legend.line(trainer.history[-1].test)}")


if __name__ == "__main__":
    main()
