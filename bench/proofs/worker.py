"""A module of the proofs in a process of its own, which prints a line of JSON for each of its findings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from bench import ROOT


def findings(module: str, *arguments: str, environment: Mapping[str, str] = os.environ) -> list[dict[str, Any]]:
    """What ``python -m module arguments`` printed; Triton's interpreter is off.

    Raises:
        RuntimeError: it failed.
    """
    environment = {name: value for name, value in environment.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", module, *arguments]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join((module, *arguments))}: {result.stderr[-3000:]}")
    return [json.loads(line) for line in result.stdout.splitlines()]
