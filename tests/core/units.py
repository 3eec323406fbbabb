"""The instruction-set units of the CPU kernels, and Python code run on one of them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

UNITS = ("default", "avx2", "avx512")
_FLAGS = {"default": set(), "avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}}


def supported() -> list[str]:
    """The units that this processor runs, the best one last."""
    if platform.machine() != "x86_64":
        return ["default"]
    with Path("/proc/cpuinfo").open() as cpuinfo:
        flags = set(next(line for line in cpuinfo if line.startswith("flags")).split())
    return [unit for unit in UNITS if flags >= _FLAGS[unit]]


def run(code: str, capability: str | None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter under the cap, or without one; it can import what the tests can."""
    inherited = {name: value for name, value in os.environ.items() if name != "FASTVAE_CPU_CAPABILITY"}
    paths = [str(Path(__file__).parents[2]), *filter(None, [inherited.get("PYTHONPATH")])]
    environment = {**inherited, "PYTHONPATH": os.pathsep.join(paths), **environment}
    if capability is not None:
        environment["FASTVAE_CPU_CAPABILITY"] = capability
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
