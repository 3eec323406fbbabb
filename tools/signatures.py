"""What the reference of the site shows of a function that passes options on: their names, types and defaults.

mkdocstrings reads sources, where such a function takes ``**options``; `inspect.signature` has what it takes.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Final

import griffe

_HIDDEN: Final = griffe.ParameterKind.var_keyword


class PassedOn(griffe.Extension):
    """Shows each keyword of functions that `fastvae._keywords.passes_on` decorates."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Put what a function takes in place of its ``**options``."""
        if not any(decorator.callable_path.endswith("passes_on") for decorator in func.decorators):
            return
        known = {parameter.name: parameter for parameter in func.parameters if parameter.kind is not _HIDDEN}
        live: Any = importlib.import_module(func.module.path)
        for name in func.path.removeprefix(f"{func.module.path}.").split("."):
            live = getattr(live, name)
        for name, parameter in inspect.signature(live).parameters.items():
            if name not in known:
                known[name] = griffe.Parameter(
                    name,
                    annotation=str(parameter.annotation),
                    kind=griffe.ParameterKind.keyword_only,
                    default=repr(parameter.default),
                )
        func.parameters = griffe.Parameters(*known.values())
