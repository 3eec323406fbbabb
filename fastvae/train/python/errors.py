"""Mistakes as Python says them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fastvae.train.errors import UserError


@contextmanager
def as_python_says() -> Iterator[None]:
    """What the command line says in one line, as a ValueError: ``--lr-decay`` is ``lr_decay``."""
    try:
        yield
    except UserError as error:
        raise ValueError(re.sub(r"--([a-z][a-z-]*)", lambda option: option[1].replace("-", "_"), str(error))) from error
