"""The ``fastvae`` command: whatever goes wrong for a reason a user can correct is said in one line."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Final

_PATIENCE: Final = 5.0
"""Seconds: more than torchrun takes to see that a process has ended."""


def main() -> None:
    """Run the command line and exit."""
    # Warnings of libraries are meant for developers, who see them in the tests, where they are errors.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    code = run()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Threads of torch's process groups may outlive them, and abort an interpreter that takes itself apart.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0, 2 for a user's mistake, 130 for Ctrl-C."""
    try:
        import click
        import torch

        from fastvae.train.commands import cli
        from fastvae.train.errors import UserError
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("fastvae"):
            raise
        return _fail(f"the command line needs {error.name}: pip install 'fastvae[train]'")
    try:
        code = cli.main(arguments, prog_name="fastvae", standalone_mode=False)
    except click.ClickException as error:
        return _fail(error.format_message())
    except UserError as error:
        return _fail(str(error), error.exit_code)
    except click.Abort:
        return _fail("interrupted", 130)
    except torch.OutOfMemoryError as error:
        return _fail(f"out of memory; try a smaller --batch-size ({error})")
    except RuntimeError as error:
        # A missing or broken compiler is found by torch.compile at the first step.
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        return _fail(f"--compile: {str(error).splitlines()[0]}")
    except OSError as error:
        return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int = 2) -> int:
    # Of several processes that fail alike, the first one says why, and torchrun ends the others while they wait.
    rank = int(os.environ.get("RANK", "0"))
    if rank:
        time.sleep(_PATIENCE)
    whose = f" (process {rank})" if rank else ""
    # A name in a file or of one may hold what a terminal obeys, or what its encoding lacks.
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(message.split()))
    print(f"fastvae: error{whose}: {line}", file=sys.stderr)
    return code
