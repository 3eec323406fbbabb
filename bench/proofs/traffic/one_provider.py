"""Counts one provider in a process of its own: ``python -m bench.proofs.traffic.one_provider PROVIDER``.

What each provider asks of its process excludes the others: Triton's interpreter, or a GPU that is not there.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Final

from bench import ROOT
from bench.proofs.traffic.counts import Row, row_of
from bench.proofs.traffic.workloads import WORKLOADS

PROVIDERS: Final = {"eager": "eager", "inductor": "inductor", "fastvae": "fused"}
"""The module of each, in the order of columns."""


def environment(provider: str) -> dict[str, str]:
    """The environment variables of a process that counts `provider`."""
    inherited = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    return inherited | ({"TRITON_INTERPRET": "1"} if provider == "fastvae" else {})


def rows(provider: str) -> list[Row]:
    """The rows of all workloads, counted by a new process.

    Raises:
        CalledProcessError: it failed; what it said is on standard error.
    """
    command = [sys.executable, "-m", "bench.proofs.traffic.one_provider", provider]
    process = subprocess.run(
        command, cwd=ROOT, env=environment(provider), stdout=subprocess.PIPE, text=True, check=True
    )
    return [Row(**row) for row in json.loads(process.stdout)]


def main(provider: str) -> None:
    """Print the rows of a provider as JSON."""
    count = importlib.import_module(f"bench.proofs.traffic.{PROVIDERS[provider]}").count
    print(json.dumps([asdict(row_of(workload, provider, *count(workload))) for workload in WORKLOADS]))


if __name__ == "__main__":
    main(sys.argv[1])
