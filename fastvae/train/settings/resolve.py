"""From the settings that a user gave to a whole config: defaults filled in, everything validated."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import torch
from pydantic import ValidationError

from fastvae.train.data import datasets
from fastvae.train.data.description import Description, Reading
from fastvae.train.data.named import NAMED
from fastvae.train.errors import UserError, first_problem
from fastvae.train.settings import architecture
from fastvae.train.settings.config import Config, Settings
from fastvae.train.settings.kinds import GOES_WITH
from fastvae.train.settings.presets import BY_DATA, BY_LATENT, BY_MODEL, COMMON, PUBLISHED
from fastvae.train.settings.training import Training

# Settings that depend on the machine and on how many images there are.
_FOUND_OUT: Final = ("device", "threads", "dataset_size")


def option(field: str) -> str:
    """A field's name on the command line."""
    return f"--{field.replace('_', '-')}"


def shown(value: object) -> str:
    """A setting as the command line writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return "default" if value is None else str(value).removesuffix(".0")


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


def resolve(explicit: Settings) -> Settings:
    """Every setting: from `explicit`, those a user gave, then their preset, then the defaults of their data set.

    What was not given and would change nothing beside the others, such as the dropout of a model that has none, is left
    out. The default objective is the ELBO: that of a conditional model where a condition is given.
    """
    preset = {} if explicit.get("preset") is None else PUBLISHED[explicit["preset"]]
    given = COMMON | preset | explicit
    data = given["data"] if given["data"] in NAMED else _path(given["data"])
    described = datasets.describe(data, Reading(*(given[field] for field in Reading._fields)))
    return _filled(explicit, data, described)


def default(config: Config, field: str) -> object:
    """What a setting would be, beside the others of a run, if it had not been given; the data is not read.

    Of what a run finds out where it begins, and a config does not tell from what was given, it is the config's own.
    """
    if field == "data":
        return COMMON[field]
    explicit = config.model_dump()
    described = Description(*(explicit.pop(name) for name in Description._fields))
    own = explicit.pop(field)
    found = _filled(explicit, config.data, described).get(field)
    return own if field in _FOUND_OUT and found in (None, "auto") else found


def _filled(explicit: Settings, data: str, described: Description) -> Settings:
    """`explicit`, given for data that is known, and every other setting."""
    preset = {} if explicit.get("preset") is None else PUBLISHED[explicit["preset"]]
    by_data = COMMON | BY_DATA[_kind(data, described)]
    asked = by_data | preset | explicit
    others = BY_MODEL.get(asked["model"], {}) | BY_LATENT.get(asked["latent"], {})
    chosen = by_data | others | described._asdict() | preset | explicit | {"data": data}
    chosen.setdefault("objective", "elbo" if chosen["condition"] == "none" else "cvae")
    for field, (plain, needs) in GOES_WITH.items():
        if field not in explicit and any(chosen[other] not in values for other, values in needs.items()):
            chosen[field] = plain
    return chosen | architecture.feature_maps(chosen)


def _path(data: str) -> str:
    """Where a user's own data is, whichever folder a command runs in."""
    try:
        return str(Path(data).expanduser().resolve())
    except RuntimeError as error:
        raise UserError(f"--data: got {data!r}; takes no ~ of an unknown user") from error


def _kind(data: str, described: Description) -> str:
    """The row of `BY_DATA` for a data set."""
    if data in NAMED:
        return data
    if described.values == "counts":
        return "counts"
    return "images" if len(described.shape) == 3 else "features"


def new(explicit: Settings) -> Config:
    """The config of a new run from the settings that a user gave.

    Raises:
        UserError: a setting out of its range, or a missing device.
    """
    settings = {"threads": torch.get_num_threads(), **resolve(explicit)}
    settings["device"] = device(settings["device"])
    if settings["data"] not in NAMED and settings["data_dir"] is not None:
        raise UserError("--data-dir: got one for a new run; takes none with a path as --data")
    if settings["objective"] == "baseline" and "latent_dim" in explicit:
        raise UserError(f"--latent-dim: got {explicit['latent_dim']}; takes none with objective 'baseline'")
    config = _validated(settings)
    if config.condition != "quadrants":
        architecture.check(config)
    check_installed(config)
    return config


def changed(config: Config, changes: Settings) -> Config:
    """`config` with other values in some fields.

    Raises:
        UserError: a value out of its range.
    """
    return _validated({**config.model_dump(), **changes})


def check_installed(config: Training) -> None:
    """What `config` logs to is there.

    Raises:
        UserError: it is not.
    """
    if config.tensorboard and find_spec("tensorboard") is None:
        raise UserError("--tensorboard: TensorBoard is not installed: pip install 'fastvae[tensorboard]'")


def _validated(settings: Settings) -> Config:
    try:
        return Config(**settings)
    except ValidationError as error:
        raise UserError(first_problem(error, option)) from error
