"""The weights of a model in a file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from fastvae._sealed import DamagedError, opened, sealed
from fastvae.train.errors import UserError
from fastvae.train.processes import group
from fastvae.train.processes.parallel import load_model_state, model_state
from fastvae.train.runs import atomic
from fastvae.train.runs.folder import RunFolder


def save(model: nn.Module, path: Path) -> None:
    """Write a file of weights; all processes that have parts of them are to call it."""
    tensors = model_state(model)
    if group.rank():
        return
    path.parent.mkdir(exist_ok=True)
    atomic.write_pieces(path, sealed(tensors, {}))


def load(model: nn.Module, folder: RunFolder, epoch: int | None = None) -> None:
    """Read the weights that the run keeps, or those after `epoch` where it keeps them all, into `model`.

    Raises:
        UserError: the file is missing, damaged or of another model than the config's.
    """
    path = folder.weights_file if epoch is None else folder.epoch_weights_file(epoch)
    try:
        tensors, _ = opened(path)
    except FileNotFoundError as error:
        lacking = "has not finished an epoch" if epoch is None else f"kept no weights of epoch {epoch}"
        raise UserError(f"{path}: no such file; the run {lacking}") from error
    except (OSError, DamagedError) as error:
        raise UserError(f"{path}: damaged or unreadable ({error})") from error
    load_state(model, tensors, str(path.relative_to(folder.path)), folder)


def load_state(model: nn.Module, state: dict[str, torch.Tensor], name: str, folder: RunFolder) -> None:
    """`load_state_dict`, with a mismatch said in one line."""
    try:
        load_model_state(model, state)
    except RuntimeError as error:
        raise UserError(f"{folder.path / name}: does not fit the model of {folder.config_file.name}") from error
