"""Modules imported from other files than those installed: ``pytest -p tools.checks.served`` with `VARIABLE` set.

The variable holds ``name=path``, names as they are imported; it does not reach past this process.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

VARIABLE: Final = "FASTVAE_SERVED"


class _Served(MetaPathFinder):
    def __init__(self, modules: Mapping[str, Path]) -> None:
        self.modules = modules

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        file = self.modules.get(name)
        return None if file is None else importlib.util.spec_from_file_location(name, file)


def serve(modules: Mapping[str, Path]) -> None:
    """From now on, import these from these files."""
    sys.meta_path.insert(0, _Served(modules))


if VARIABLE in os.environ:
    name, _, file = os.environ.pop(VARIABLE).partition("=")
    serve({name: Path(file)})
