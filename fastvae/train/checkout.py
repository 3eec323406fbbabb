"""The benchmarks, which are no part of the package: without the tests beside them they refuse to report."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

import fastvae
from fastvae.train.errors import UserError


def root() -> Path | None:
    """The checkout that the imported fastvae is part of; None for an installed copy."""
    folder = Path(fastvae.__file__).resolve().parent.parent
    return folder if (folder / "bench" / "run.py").is_file() else None


def benchmarks() -> click.Command:
    """The command in ``bench/`` of the checkout.

    Raises:
        UserError: there is none.
    """
    folder = root()
    if folder is None:
        raise UserError(
            "bench: got an installed copy of fastvae; takes a checkout of its repository, installed from there with "
            "pip install -e . (what is measured is guarded by the tests, which only a checkout has)"
        )
    sys.path.insert(0, str(folder))
    command: click.Command = importlib.import_module("bench.run").main
    return command
