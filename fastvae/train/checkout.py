"""What only a checkout of the repository has: the benchmarks, which are no part of the package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import fastvae
from fastvae.train.errors import UserError


def bench(arguments: Sequence[str], text: str) -> Any:
    """Run the benchmarks, which refuse to report without the tests beside them.

    Args:
        arguments: of their command line.
        text: what an installed copy, which has none, says to a question for help.

    Raises:
        UserError: this is an installed copy.
    """
    checkout = Path(fastvae.__file__).resolve().parent.parent
    if not (checkout / "bench" / "run.py").is_file():
        # In a checkout the benchmarks' own help says what they take.
        if {"-h", "--help"} & set(arguments):
            click.echo(text)
            return None
        raise UserError(
            "bench: got an installed copy of fastvae; takes a checkout of its repository, installed from there with "
            "pip install -e . (what is measured is guarded by the tests, which only a checkout has)"
        )
    sys.path.insert(0, str(checkout))
    command: click.Command = importlib.import_module("bench.run").main
    return command.main(list(arguments), prog_name="fastvae bench", standalone_mode=False)
