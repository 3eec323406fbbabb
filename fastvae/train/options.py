"""The options of ``fastvae train``, one for each field of the config: its type, its help and its default."""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import click

from fastvae.train.config import Config
from fastvae.train.presets import BY_DATA, COMMON, PRESETS
from fastvae.train.settings import option

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


_METAVARS: Final = {"data_dir": "DIR", "first_guess": "RUN"}
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
    for field in reversed(Config.model_fields):
        command = (_preset if field == "preset" else setting(field))(command)
    return command


def choices(field: str) -> tuple[str, ...]:
    """What the option of a field with names takes; none for another field."""
    annotation = _value(field)
    return (*_ALSO.get(field, ()), *get_args(annotation)) if get_origin(annotation) is Literal else ()


def _kind(field: str) -> click.ParamType[Any] | type:
    kind = _value(field)
    if get_origin(kind) is tuple:
        return _Widths()
    return click.Choice(choices(field)) if choices(field) else kind


def _value(field: str) -> Any:
    """The type of a field's values other than None."""
    annotation = Config.model_fields[field].annotation
    if get_origin(annotation) is UnionType:
        return next(kind for kind in get_args(annotation) if kind is not type(None))
    return annotation


def _default(field: str) -> str | None:
    if field in COMMON:
        value = COMMON[field]
        if value is None:
            return None
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    if field == "threads":
        return f"torch's; {BY_DATA['digits'][field]} for digits"
    values = ((name, row[field]) for name, row in BY_DATA.items())
    return ", ".join(f"{','.join(map(str, v)) if isinstance(v, tuple) else v} ({name})" for name, v in values)


_PRESETS: Final = "; ".join(
    f"{name}: {row['model']}, latent dimension {row['latent_dim']}, on {row['data']}" for name, row in PRESETS.items()
)
_preset = click.option(
    "--preset", type=click.Choice(tuple(PRESETS)), help=f"A published write-up ({_PRESETS}); other options override it."
)
