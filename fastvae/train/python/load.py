"""`fastvae.load`: the trained model of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from fastvae.modules._described import MODELS
from fastvae.modules._saved import CONFIG, WEIGHTS
from fastvae.train.errors import UserError
from fastvae.train.models import build
from fastvae.train.models.build import Model
from fastvae.train.python.errors import as_python_says
from fastvae.train.python.folder import FitFolder
from fastvae.train.runs import weights
from fastvae.train.runs.folder import RunFolder


def load(run: str | Path, *, device: str | torch.device = "cpu") -> Model:
    """The trained model of a run of ``fastvae train``, or of a `fastvae.fit` with a folder, in eval mode.

    Its weights are those that the run keeps: of its best epoch where it holds samples out. No pickle is read.

    Args:
        run: the folder.
        device: where the model goes.

    Returns:
        The model: `fastvae.VAE`, `fastvae.CVAE`, or a network for a run with objective baseline. `config`, a dict, has
        the settings of the run by the names of the options of ``fastvae train``; of a `fastvae.fit`, those of training.

    Raises:
        ValueError: no such folder, a damaged file, a run without a finished epoch, or a `fastvae.fit` of networks that
            `fastvae.networks` has not built, which no file describes.

    Examples:
        >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (64,), 2)
        >>> vae = fastvae.VAE(encoder, decoder, latent_shape=latent_shape)
        >>> _ = fastvae.fit(vae, torch.rand(32, 64), epochs=1, out="runs/tiny", progress=False)
        >>> model = fastvae.load("runs/tiny")  # also of `fastvae train --out runs/tiny`
        >>> model.sample(16).shape, model.training, model.config["epochs"]
        (torch.Size([16, 64]), False, 1)
    """
    path = Path(run).expanduser()
    with as_python_says():
        return _of_fit(path, device) if FitFolder(path).config_file.exists() else _of_run(path, device)


def _of_run(path: Path, device: str | torch.device) -> Model:
    folder = RunFolder(path)
    config = folder.read_config()
    # The first weights, which are replaced, are drawn without a trace.
    with torch.random.fork_rng(devices=[]):
        model = build.create(config)
    weights.load(model, folder)
    return _ready(model.to(device), config.model_dump(mode="json"))


def _of_fit(path: Path, device: str | torch.device) -> Model:
    settings, name = FitFolder(path).read_settings()
    if not (path / CONFIG).exists():
        if not (path / WEIGHTS).exists() and not FitFolder(path).weights_file.exists():
            raise UserError(f"{path}: has not finished an epoch")
        raise UserError(
            f"{path}: got a fastvae.fit of a {name} whose networks no file describes; takes one of fastvae.networks "
            f"(build yours, and load_state_dict of {FitFolder(path).weights_file.name})"
        )
    kind = MODELS[json.loads((path / CONFIG).read_bytes())["model"]]
    return _ready(kind.from_pretrained(path, device=device), settings.model_dump(mode="json"))


def _ready(model: Model, config: dict[str, Any]) -> Model:
    model.config = config  # type: ignore[assignment]
    return model.eval()
