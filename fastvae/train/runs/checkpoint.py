"""All that resuming needs, in one file: the model now, its average and its best, optimizer, generators, metrics."""

from __future__ import annotations

import io
import pickle
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.amp import GradScaler

from fastvae.train.errors import UserError
from fastvae.train.processes import group
from fastvae.train.processes.parallel import load_optimizer_state, model_state, optimizer_state
from fastvae.train.runs import atomic, random
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.runs.weights import load_state


class State(NamedTuple):
    """What changes in a run from epoch to epoch, but for its generators and its history.

    Attributes:
        model: as it is trained.
        average: the model with averages of its weights; None where a run keeps none.
        best: the model with the weights of the best epoch; None where that is the last.
        optimizer: of `model`.
        scaler: of its loss.
    """

    model: nn.Module
    average: nn.Module | None
    best: nn.Module | None
    optimizer: torch.optim.Optimizer
    scaler: GradScaler

    @property
    def evaluated(self) -> nn.Module:
        """The model whose weights are measured after each epoch."""
        return self.model if self.average is None else self.average

    def networks(self) -> dict[str, nn.Module | None]:
        """The model and its copies, by their names in a checkpoint."""
        return {"model": self.model, "average": self.average, "best": self.best}


def save(folder: RunFolder, state: State, device: torch.device, history: list[Epoch]) -> None:
    """Write the state after the last epoch of `history`, the same however many processes have it.

    Raises:
        OSError: the file, which is named, cannot be written.
    """
    contents = {
        **{name: None if network is None else model_state(network) for name, network in state.networks().items()},
        "optimizer": optimizer_state(state.model, state.optimizer),
        "scaler": state.scaler.state_dict(),
        "random": random.state(device),
        "history": [tuple(row) for row in history],
    }
    if group.rank():
        return
    # By way of memory: torch's own writer hides which file could not be written, and why.
    file = io.BytesIO()
    torch.save(contents, file)
    atomic.write_bytes(folder.checkpoint_file, file.getbuffer())


def load(folder: RunFolder, state: State, device: torch.device) -> list[Epoch]:
    """Restore a checkpoint where there is one; returns the epochs done.

    Raises:
        UserError: the file is damaged or of another model than the config's.
    """
    path = folder.checkpoint_file
    if not path.exists():
        return []
    try:
        # Generator states live on the CPU; load_state_dict moves the rest to where the parameters are.
        contents: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        weights = {name: contents[name] for name in state.networks()}
        history = [Epoch(*row) for row in contents["history"]]
        load_optimizer_state(state.model, state.optimizer, contents["optimizer"])
        state.scaler.load_state_dict(contents["scaler"])
        random.restore(contents["random"], device)
    except (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = f"{type(error).__name__} while reading it"
        raise UserError(f"{path}: damaged, the run cannot be resumed from it ({reason})") from error
    for name, network in state.networks().items():
        if network is not None:
            load_state(network, weights[name], path.name, folder)
    return history
