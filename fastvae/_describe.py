"""Tensors, outputs and options in one line, for `repr` and for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields

from torch import Tensor


def describe(value: object) -> str:
    """A tensor's dtype, shape and device (unless that is the CPU), a scalar tensor's value; in containers, too."""
    if isinstance(value, Tensor):
        if not value.dim():
            return repr(value.detach())
        place = "" if value.is_cpu else f" on {value.device}"
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}{place}"
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return f"{type(value).__name__}({named(value._asdict())})"
    if isinstance(value, tuple):
        return f"({', '.join(map(describe, value))}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(map(describe, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {describe(part)}' for key, part in value.items())}}}"
    return repr(value) if isinstance(value, (str, int, float, type(None))) else type(value).__name__


def named(values: Mapping[str, object]) -> str:
    """``name=value, ...``, without those that are None."""
    return ", ".join(f"{name}={describe(value)}" for name, value in values.items() if value is not None)


def changed(options: object) -> dict[str, object]:
    """The fields of a dataclass that are not what they are by default."""
    found = {}
    for field in fields(options):  # type: ignore[arg-type]
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if getattr(options, field.name) != default:
            found[field.name] = getattr(options, field.name)
    return found


def with_changes(options: object) -> str:
    """A dataclass as the call that makes it: the type, and the fields that are not what they are by default."""
    return f"{type(options).__name__}({', '.join(f'{name}={value!r}' for name, value in changed(options).items())})"
