"""All that resuming needs, in one file: model, optimizer, generators, metrics so far."""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch
from torch import nn

from fastvae.train import atomic, random
from fastvae.train.errors import UserError
from fastvae.train.metrics import Epoch
from fastvae.train.model import load_state
from fastvae.train.run_folder import RunFolder


def save(
    folder: RunFolder, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device, history: list[Epoch]
) -> None:
    """Write the state after the last epoch of `history`.

    Raises:
        OSError: the file, which is named, cannot be written.
    """
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": random.state(device),
        "history": [tuple(row) for row in history],
    }
    # By way of memory: torch's own writer hides which file could not be written, and why.
    content = io.BytesIO()
    torch.save(state, content)
    atomic.write_bytes(folder.checkpoint_file, content.getbuffer())


def load(folder: RunFolder, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> list[Epoch]:
    """Restore a checkpoint where there is one; returns the epochs done.

    Raises:
        UserError: the file is damaged or of another model than the config's.
    """
    path = folder.checkpoint_file
    if not path.exists():
        return []
    try:
        # Generator states live on the CPU; load_state_dict moves the rest to where the parameters are.
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        weights = state["model"]
        history = [Epoch(*row) for row in state["history"]]
        optimizer.load_state_dict(state["optimizer"])
        random.restore(state["random"], device)
    except (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = f"{type(error).__name__} while reading it"
        raise UserError(f"{path}: damaged, the run cannot be resumed from it ({reason})") from error
    load_state(model, weights, path.name, folder)
    return history
