"""Packages that fastvae goes into, which need not be installed, and the examples of it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

EXAMPLES = Path(__file__).parents[2] / "examples" / "clients"
NAMES = ("pythae", "diffusers", "lightning", "transformers", "accelerate", "scvi-tools")


def client(module: str) -> ModuleType:
    """A module of another package; with FASTVAE_CLIENTS=required it may not be missing."""
    if os.environ.get("FASTVAE_CLIENTS") == "required":
        return importlib.import_module(module)
    found: ModuleType = pytest.importorskip(module)
    return found


def example(name: str) -> Any:
    """A script of examples/clients as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def no_worse(ours: Tensor, theirs: Tensor, exact: Tensor) -> None:
    """Ours is off from what is exact by no more than twice theirs, and two roundings of the largest."""
    rounding = 2 * torch.finfo(ours.dtype).eps * exact.abs().max()
    error, allowed = (ours.double() - exact).abs().max(), (theirs.double() - exact).abs().max()
    assert error <= 2 * allowed + rounding, (float(error), float(allowed))
