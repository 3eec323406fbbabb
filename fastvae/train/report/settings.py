"""The settings of a run, those that differ from the defaults apart from the others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

from fastvae.train.python.fit import BATCH_SIZE, fit
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config
from fastvae.train.settings.training import Training


class Setting(NamedTuple):
    """One of them, as the command line writes values.

    Attributes:
        name: of the option of `fastvae train`, or the argument of `fastvae.fit`.
        value: of the run.
        default: what it would be beside the others if it had not been given; None where there is no default.
        description: what it is.
    """

    name: str
    value: str
    default: str | None
    description: str


class Settings(NamedTuple):
    """All of them.

    Attributes:
        changed: with other values than by default.
        others: with the values that they have by default, or that the run found out.
    """

    changed: list[Setting]
    others: list[Setting]


def of_run(config: Config) -> Settings:
    """Those of a run of the command line: options, and, by their names in config.json, what its data is like."""

    def default(field: str) -> object:
        return resolve.default(config, field) if _is_option(field) else getattr(config, field)

    return _divided(config, default, lambda field: resolve.option(field) if _is_option(field) else field)


def of_fit(settings: Training) -> Settings:
    """Those of a `fastvae.fit`; those that it has no default for are among the changed ones."""
    signature = inspect.signature(fit).parameters
    found = {"batch_size": BATCH_SIZE, "device": settings.device}
    return _divided(settings, lambda name: found.get(name, signature[name].default), str)


def _is_option(field: str) -> bool:
    # What a config says of the data has no description, and neither has the preset, which is an option.
    return field == "preset" or Config.model_fields[field].description is not None


def _divided(settings: Training, default: Callable[[str], object], name: Callable[[str], str]) -> Settings:
    found = Settings([], [])
    for field, info in type(settings).model_fields.items():
        value, usual = getattr(settings, field), default(field)
        (found.others if value == usual else found.changed).append(
            Setting(
                name(field),
                _shown(value),
                None if usual is inspect.Parameter.empty else _shown(usual),
                info.description or "",
            )
        )
    return found


def _shown(value: object) -> str:
    return "none" if value is None else resolve.shown(value)
