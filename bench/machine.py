"""What a row says of where it was measured: the commit, the device and the versions, never the host's name."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch

from bench import ROOT


class Run(NamedTuple):
    """What all rows of a run share; see `bench.results.Row`."""

    date: str
    commit: str
    device: str
    cores: int | None
    driver: str
    cuda: str
    torch: str
    triton: str
    fastvae: str


def run_on_cpu() -> Run:
    """A run that begins now, on the CPU."""
    cores = len(os.sched_getaffinity(0))
    return Run(now(), commit(), cpu(), cores, "", "", torch.__version__, "", version("fastvae"))


def now() -> str:
    """The time to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def version(package: str) -> str:
    """Of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def commit() -> str:
    """The short hash of HEAD, with ``-dirty`` where tracked files other than results differ from it.

    ``unknown`` in a copy of the source without its history.
    """
    if not (ROOT / ".git").exists():
        return "unknown"
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results")
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def cpu() -> str:
    """The CPU's name, with family and model, because virtual machines shorten the name."""
    return cpu_of(Path("/proc/cpuinfo").read_text(encoding="utf-8"))


def cpu_of(cpuinfo: str) -> str:
    """The CPU named in the text of ``/proc/cpuinfo``."""
    # Arm's has no names, only numbers.
    found = dict(re.findall(r"^([\w ]+?)\s*:[ \t]*(.*)$", cpuinfo, re.MULTILINE)[::-1])
    if "model name" not in found:
        return f"CPU implementer {found.get('CPU implementer', 'unknown')} part {found.get('CPU part', 'unknown')}"
    return f"{found['model name']} (family {found['cpu family']}, model {found['model']})"


def folder_name(device: str) -> str:
    """A device's name as the name of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
