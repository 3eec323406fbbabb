"""The config of a run that goes on: its own, but for what may change."""

from __future__ import annotations

from typing import Final

from fastvae.train.errors import UserError
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings.config import Config, Settings
from fastvae.train.settings.resolve import changed, check_installed, device, option, shown

# How far the run goes, where its data has moved to, and what it logs beside its files.
_CHANGEABLE: Final[tuple[str, ...]] = ("epochs", "early_stopping", "data_dir", "cache_dir", "tensorboard")


def resumed(folder: RunFolder, explicit: Settings) -> Config:
    """The config of the run in `folder`, with what the settings that a user gave may change of it.

    Raises:
        UserError: they contradict the run, or the run's device is missing.
    """
    config = folder.read_config()
    # Its learning rates follow from where it ends.
    changeable = {*_CHANGEABLE} - ({"epochs"} if config.lr_schedule == "cosine" else set())
    # On a machine with another device, auto is still the run's.
    asked = {name: value for name, value in explicit.items() if (name, value) != ("device", "auto")}
    contradictions = [
        f"{option(name)} {shown(value)} (the run has {shown(getattr(config, name))})"
        for name, value in asked.items()
        if name not in changeable and value != getattr(config, name)
    ]
    if contradictions:
        raise UserError(f"--resume: {folder.path} contradicts {', '.join(contradictions)}")
    device(config.device)
    config = changed(config, {name: asked[name] for name in changeable if name in asked})
    check_installed(config)
    return config
