"""From the options a user gave to a run's config, for a new run and for one that is resumed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Final

import torch
from pydantic import ValidationError

from fastvae.train.config import Config
from fastvae.train.errors import UserError, first_problem
from fastvae.train.presets import resolve
from fastvae.train.run_folder import RunFolder

# What a resumed run may change: how far it goes, where its data has moved to, and what it logs beside its files.
_CHANGEABLE: Final[tuple[str, ...]] = ("epochs", "data_dir", "tensorboard")


def option(field: str) -> str:
    """A field's name on the command line."""
    return f"--{field.replace('_', '-')}"


def device(name: str) -> str:
    """The device that ``auto`` stands for, or `name` where it is there.

    Raises:
        UserError: there is no such device.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if available else "cpu"
    if name == "cuda" and not available:
        raise UserError("--device: got cuda, but torch finds no CUDA device here; takes cpu or auto")
    return name


def new(given: dict[str, Any]) -> Config:
    """The config of a new run from the options `given`.

    Raises:
        UserError: an option out of its range, or a missing device.
    """
    settings = {"threads": torch.get_num_threads(), **resolve(given)}
    settings["device"] = device(settings["device"])
    if settings["objective"] == "baseline" and "latent_dim" in given:
        raise UserError(f"--latent-dim: got {given['latent_dim']}; takes none with objective 'baseline'")
    return _loggable(_validated(settings))


def resumed(folder: RunFolder, given: dict[str, Any]) -> Config:
    """The config of the run in `folder`, with what `given` may change of it.

    Raises:
        UserError: `given` contradicts the run, or the run's device is missing.
    """
    config = folder.read_config()
    if given.get("device") == "auto":
        del given["device"]
    contradictions = [
        f"{option(name)} {_shown(value)} (the run has {_shown(getattr(config, name))})"
        for name, value in given.items()
        if name not in _CHANGEABLE and value != getattr(config, name)
    ]
    if contradictions:
        raise UserError(f"--resume: {folder.path} contradicts {', '.join(contradictions)}")
    device(config.device)
    return _loggable(changed(config, {name: given[name] for name in _CHANGEABLE if name in given}))


def changed(config: Config, changes: dict[str, Any]) -> Config:
    """`config` with other values in some fields.

    Raises:
        UserError: a value out of its range.
    """
    return _validated({**config.model_dump(), **changes})


def _loggable(config: Config) -> Config:
    """`config`, if what it logs to is installed."""
    if config.tensorboard and find_spec("tensorboard") is None:
        raise UserError("--tensorboard: TensorBoard is not installed: pip install 'fastvae[tensorboard]'")
    return config


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def _validated(settings: dict[str, Any]) -> Config:
    try:
        return Config(**settings)
    except ValidationError as error:
        raise UserError(first_problem(error, option)) from error
