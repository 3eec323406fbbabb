"""What a run is: every setting, resolved and validated, in and out of JSON."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastvae.train.errors import InvalidSettingError, UserError

DATA: Final = ("digits", "mnist")
MODELS: Final = ("mlp", "conv")
LIKELIHOODS: Final = ("bernoulli", "bernoulli_probs", "gaussian", "squared_error", "laplace", "gaussian_learned")
DEVICES: Final = ("auto", "cpu", "cuda")
AMP: Final = ("none", "bf16")

Rule = tuple[str, Callable[[Any], bool]]
_POSITIVE: Final[Rule] = ("a whole number of at least 1", lambda value: value >= 1)
_RULES: Final[dict[str, Rule]] = {
    **{
        name: (f"one of {', '.join(choices)}", choices.__contains__)
        for name, choices in (("data", DATA), ("model", MODELS), ("likelihood", LIKELIHOODS), ("amp", AMP))
    },
    "hidden": ("widths of at least 1, such as 512,256", lambda value: all(width >= 1 for width in value)),
    "latent_dim": _POSITIVE,
    "batch_size": _POSITIVE,
    "epochs": _POSITIVE,
    "threads": _POSITIVE,
    "beta": ("a finite number of at least 0", lambda value: math.isfinite(value) and value >= 0),
    "lr": ("a finite number above 0", lambda value: math.isfinite(value) and value > 0),
    "seed": ("a whole number from 0 to 2**63 - 1", lambda value: 0 <= value < 2**63),
    "device": ("cpu or cuda", ("cpu", "cuda").__contains__),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every setting of a run, resolved: no default is looked up again when it is resumed.

    Raises:
        InvalidSettingError: a field of the wrong type or out of its range.
    """

    preset: str | None
    data: str
    data_dir: str | None
    model: str
    hidden: tuple[int, ...]
    latent_dim: int
    likelihood: str
    beta: float
    batch_size: int
    epochs: int
    lr: float
    device: str
    amp: str
    compile: bool
    seed: int
    threads: int

    def __post_init__(self) -> None:
        types_of = typing.get_type_hints(Config)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            takes, valid = _RULES.get(field.name, (_type_name(types_of[field.name]), lambda value: True))
            if not _is_a(value, types_of[field.name]) or not valid(value):
                raise InvalidSettingError(field.name, f"got {value!r}; takes {takes}")
        if self.data == "mnist" and self.data_dir is None:
            raise InvalidSettingError(
                "data_dir", "got none; takes the folder of the four MNIST files with data 'mnist'"
            )
        if self.data == "digits" and self.data_dir is not None:
            raise InvalidSettingError(
                "data_dir", f"got {self.data_dir!r}; takes none with data 'digits', which are bundled"
            )

    def to_json(self) -> dict[str, Any]:
        """The fields by name, as JSON holds them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: object) -> Config:
        """The inverse of `to_json`, for a file that may have been edited or damaged."""
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, Mapping) or fields.keys() != names:
            got = ", ".join(sorted(map(str, fields))) if isinstance(fields, Mapping) else type(fields).__name__
            raise UserError(f"config: got the fields {got}; takes {', '.join(sorted(names))}")
        hidden = fields["hidden"]
        return cls(**{**fields, "hidden": tuple(hidden) if isinstance(hidden, list) else hidden})


def _is_a(value: object, annotation: Any) -> bool:
    if isinstance(annotation, types.UnionType):
        return any(_is_a(value, option) for option in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return isinstance(value, tuple) and all(_is_a(item, int) for item in value)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    # True is an int to Python, and a mistake in a config.
    return isinstance(value, annotation) and (annotation is bool or not isinstance(value, bool))


def _type_name(annotation: Any) -> str:
    return {bool: "true or false"}.get(annotation, "a text or nothing")


def absolute(path: str | None) -> str | None:
    """A path that still points to the same place when the run is resumed from another folder."""
    return None if path is None else str(Path(path).expanduser().resolve())
