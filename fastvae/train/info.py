"""What fastvae finds on this machine."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

import torch

from fastvae._extension import _C
from fastvae.train.runs.folder import versions


def lines() -> list[str]:
    """One line per fact: versions, devices, threads, the implementations of the ops."""
    facts = {
        **versions(),
        "C++ kernels": _kernels(),
        "Triton kernels": _triton(),
        "threads": str(torch.get_num_threads()),
        "CUDA": _cuda(),
    }
    width = max(map(len, facts))
    return [f"{name:{width}}  {value}" for name, value in facts.items()]


def _kernels() -> str:
    cap = os.environ.get("FASTVAE_CPU_CAPABILITY")
    return f"{_C.capability()}{f' (FASTVAE_CPU_CAPABILITY={cap})' if cap else ''}"


def _triton() -> str:
    try:
        return f"triton {version('triton')}"
    except PackageNotFoundError:
        return "triton is not installed"


def _cuda() -> str:
    if not torch.cuda.is_available():
        return "no device" if torch.version.cuda or torch.version.hip else "no device (this torch is built without it)"
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(f"cuda:{index} {name}" for index, name in enumerate(names))
