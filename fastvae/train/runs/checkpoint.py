"""All that resuming needs, in one file: the model now, its average and its best, optimizer, generators, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import nn
from torch.amp import GradScaler

from fastvae._sealed import DamagedError, opened, sealed
from fastvae.train.errors import UserError
from fastvae.train.files import tree
from fastvae.train.processes import group
from fastvae.train.processes.parallel import load_optimizer_state, model_state, optimizer_state
from fastvae.train.runs import atomic, random
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.runs.weights import load_state
from fastvae.train.settings.training import Training

# In the metadata of the file.
_CONTENTS: Final = "contents"
# Settings that decide no bit of an epoch, so that a run may go on with others. Of a cosine, epochs decide every one.
_FREE: Final = ("epochs", "early_stopping", "keep_weights", "tensorboard", "data_dir", "cache_dir", "first_guess")


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


def save(folder: RunFolder, state: State, device: torch.device, history: list[Epoch], settings: Training) -> None:
    """Write the state after the last epoch of `history`, the same however many processes have it.

    Raises:
        OSError: the file, which is named, cannot be written.
    """
    held = {
        **{name: None if network is None else model_state(network) for name, network in state.networks().items()},
        "optimizer": optimizer_state(state.model, state.optimizer),
        "scaler": state.scaler.state_dict(),
        "random": random.state(device),
        "history": [tuple(row) for row in history],
        "settings": _deciding(settings),
    }
    if group.rank():
        return
    write(folder.checkpoint_file, held)


def write(path: Path, contents: dict[str, Any]) -> None:
    """Write a checkpoint of these contents."""
    text, tensors = tree.taken_apart(contents)
    atomic.write_pieces(path, sealed(tensors, {_CONTENTS: text}))


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU.

    Raises:
        DamagedError: it is not as it was written.
        OSError: it cannot be read.
        KeyError, TypeError, ValueError, RecursionError: a file that no run has written.
    """
    tensors, metadata = opened(path)
    found: dict[str, Any] = tree.put_together(metadata[_CONTENTS], tensors)
    return found


def load(folder: RunFolder, state: State, device: torch.device, settings: Training) -> list[Epoch]:
    """Restore a checkpoint where there is one; returns the epochs done.

    Raises:
        UserError: the file is damaged, or of another model or other settings than the config's; or it is lost.
    """
    path = folder.checkpoint_file
    if not path.exists():
        if folder.weights_file.exists():
            raise UserError(f"{path}: no such file, beside {folder.weights_file.name}; the run cannot be resumed")
        return []
    try:
        # Generator states live on the CPU; load_state_dict moves the rest to where the parameters are.
        found = read(path)
        weights = {name: found[name] for name in state.networks()}
        history = [Epoch(*row) for row in found["history"]]
        decided = dict(found["settings"])
    # A file that no run has written may hold anything, wherever it is first used.
    except Exception as error:
        raise _damaged(folder, error) from error
    _check_settings(folder, decided, settings)
    for name, network in state.networks().items():
        if network is not None:
            load_state(network, weights[name], path.name, folder)
    try:
        load_optimizer_state(state.model, state.optimizer, found["optimizer"])
        state.scaler.load_state_dict(found["scaler"])
        random.restore(found["random"], device)
    except Exception as error:
        raise _damaged(folder, error) from error
    return history


def _damaged(folder: RunFolder, error: Exception) -> UserError:
    reason = str(error) if isinstance(error, (DamagedError, OSError)) else f"{type(error).__name__} while reading it"
    return UserError(f"{folder.checkpoint_file}: damaged, the run cannot be resumed from it ({reason})")


def _deciding(settings: Training) -> dict[str, Any]:
    """The settings that decide the bits of an epoch, as JSON has them."""
    free = set(_FREE) - ({"epochs"} if settings.lr_schedule == "cosine" else set())
    return settings.model_dump(mode="json", exclude=free)


def _check_settings(folder: RunFolder, decided: dict[str, Any], settings: Training) -> None:
    """Those of the config are the ones that the checkpoint was trained with."""
    now = _deciding(settings)
    for name in sorted(now.keys() | decided.keys()):
        found, before = now.get(name), decided.get(name)
        if found != before:
            raise UserError(
                f"{folder.config_file}: {name}: got {found!r}; {folder.checkpoint_file.name} was trained with "
                f"{before!r}"
            )
