"""The VAE that a config describes, its weights in a file, and its means in data space."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fastvae import VAE
from fastvae._likelihoods import LIKELIHOODS
from fastvae.train import atomic
from fastvae.train.config import Config
from fastvae.train.data import SIZES
from fastvae.train.errors import UserError
from fastvae.train.networks import build
from fastvae.train.run_folder import RunFolder


def create(config: Config) -> VAE:
    """A fresh VAE on the CPU: the same weights for the same seed, whatever the device of the run."""
    torch.manual_seed(config.seed)
    encoder, decoder = build(
        config.model,
        SIZES[config.data],
        config.hidden,
        config.latent_dim,
        logits=config.likelihood == "bernoulli",
        decoder_hidden=config.decoder_hidden,
    )
    return VAE(
        encoder,
        decoder,
        likelihood=config.likelihood,
        beta=config.beta,
        kl_estimator=config.kl_estimator,
        parameterization=config.parameterization,
        latent_shape=(config.latent_dim,),
    )


def log_normalizer(config: Config) -> float:
    """The nats per image that make the training objective's reconstruction term -log p(x|z)."""
    return LIKELIHOODS[config.likelihood].log_normalizer * math.prod(SIZES[config.data])


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a file of weights."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    path.parent.mkdir(exist_ok=True)
    atomic.write(path, lambda partial: save_file(tensors, partial))


def load_weights(model: nn.Module, folder: RunFolder, epoch: int | None = None) -> None:
    """Read the weights after the last epoch, or those kept of an earlier one, into `model`.

    Raises:
        UserError: the file is missing, damaged or of another model than the config's.
    """
    path = folder.weights_file if epoch is None else folder.epoch_weights_file(epoch)
    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        lacking = "has not finished an epoch" if epoch is None else f"kept no weights of epoch {epoch}"
        raise UserError(f"{path}: no such file; the run {lacking}") from error
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: damaged or unreadable ({error})") from error
    load_state(model, tensors, str(path.relative_to(folder.path)), folder)


def load_state(model: nn.Module, state: dict[str, torch.Tensor], name: str, folder: RunFolder) -> None:
    """`load_state_dict`, with a mismatch said in one line."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{folder.path / name}: does not fit the model of {folder.config_file.name}") from error
