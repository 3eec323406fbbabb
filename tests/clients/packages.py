"""Packages that fastvae goes into, which need not be installed."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest
import torch
from torch import Tensor

NAMES = ("pythae", "diffusers", "lightning", "transformers", "accelerate", "scvi-tools")


def client(module: str) -> ModuleType:
    """A module of another package; with FASTVAE_CLIENTS=required it may not be missing."""
    if os.environ.get("FASTVAE_CLIENTS") == "required":
        return importlib.import_module(module)
    found: ModuleType = pytest.importorskip(module)
    return found


def no_worse(ours: Tensor, theirs: Tensor, exact: Tensor) -> None:
    """Ours is off from what is exact by no more than twice theirs, and two roundings of the largest."""
    rounding = 2 * torch.finfo(ours.dtype).eps * exact.abs().max()
    error, allowed = (ours.double() - exact).abs().max(), (theirs.double() - exact).abs().max()
    assert error <= 2 * allowed + rounding, (float(error), float(allowed))
