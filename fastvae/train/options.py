"""The options of ``fastvae train``, one for each field of the config: its type, its help and its default."""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import click

from fastvae.train.settings.config import Config, OneOf, Settings
from fastvae.train.settings.presets import BY_DATA, COMMON, PUBLISHED
from fastvae.train.settings.resolve import option, shown

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Counts(click.ParamType[tuple[int, ...]]):
    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return () if value == "none" else tuple(map(int, value.split(",")))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 512,256, nor none", param, ctx)


_METAVARS: Final = {"data": "NAME|PATH", "data_dir": "DIR", "first_guess": "RUN", "cache_dir": "DIR"}
# What the command line takes beside the values of the config.
_ALSO: Final[dict[str, tuple[str, ...]]] = {"device": ("auto",)}


def setting(field: str) -> Callable[[_Command], _Command]:
    """The option of a field of the config."""
    text, default = Config.model_fields[field].description, _default(field)
    described = f"{text} [default: {default}]" if default else text
    if _value(field) is bool:
        name = option(field)
        return click.option(f"{name}/--no-{name[2:]}", default=None, help=described)
    return click.option(option(field), type=_kind(field), help=described, metavar=_METAVARS.get(field))


def settings(command: _Command) -> _Command:
    """The options of every field, in the order of the config."""
    for name, field in reversed(Config.model_fields.items()):
        if name == "preset":
            command = _preset(command)
        elif field.description is not None:
            command = setting(name)(command)
    return command


def explicit(values: Settings) -> Settings:
    """Of the values of all options, those that were given."""
    return {name: value for name, value in values.items() if value is not None}


def choices(field: str) -> tuple[str, ...]:
    """What the option of a field with names takes; none for another field."""
    annotation = _value(field)
    listed = get_args(annotation) if get_origin(annotation) is Literal else ()
    tables = (kind.names for kind in Config.model_fields[field].metadata if isinstance(kind, OneOf))
    return (*_ALSO.get(field, ()), *listed, *(name for names in tables for name in names))


def _kind(field: str) -> click.ParamType[Any] | type:
    kind = _value(field)
    if get_origin(kind) is tuple:
        return _Counts()
    return click.Choice(choices(field)) if choices(field) else kind


def _value(field: str) -> Any:
    """The type of a field's values other than None."""
    annotation = Config.model_fields[field].annotation
    if get_origin(annotation) is UnionType:
        return next(kind for kind in get_args(annotation) if kind is not type(None))
    return annotation


def _default(field: str) -> str | None:
    if field == "threads":
        return f"torch's; {BY_DATA['digits'][field]} for digits"
    if field == "objective":
        return "elbo; cvae with a condition"
    by_data = {name: row[field] for name, row in BY_DATA.items() if field in row}
    if by_data:
        return ", ".join(f"{shown(value)} ({name})" for name, value in by_data.items())
    return None if COMMON[field] is None else shown(COMMON[field])


_WRITE_UPS: Final = "; ".join(
    f"{name}: {row['model']}, latent dimension {row['latent_dim']}, on {row['data']}" for name, row in PUBLISHED.items()
)
_preset = click.option(
    "--preset",
    type=click.Choice(tuple(PUBLISHED)),
    help=f"A published write-up ({_WRITE_UPS}); other options override it.",
)
