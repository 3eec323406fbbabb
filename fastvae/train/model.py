"""The model that a config describes, how it is trained, and its weights in a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from fastvae import CVAE, VAE, CyclicalWarmup, LinearWarmup
from fastvae._likelihoods import LIKELIHOODS
from fastvae.losses import Schedule
from fastvae.train import atomic, conditional, conditions, networks
from fastvae.train.conditional import FirstGuess
from fastvae.train.conditions import Condition
from fastvae.train.config import Config
from fastvae.train.data import SIZES
from fastvae.train.errors import UserError
from fastvae.train.objectives import Conditional, Generative, ImportanceWeighted, Model, Objective
from fastvae.train.run_folder import RunFolder


def create(config: Config) -> Model:
    """A fresh model on the CPU: the same weights for the same seed, whatever the device of the run."""
    torch.manual_seed(config.seed)
    size = SIZES[config.data]
    decoder_hidden = config.hidden[::-1] if config.decoder_hidden is None else config.decoder_hidden
    layers = networks.Layers(config.hidden, decoder_hidden, config.activation, config.dropout)
    options: dict[str, Any] = {
        "likelihood": config.likelihood,
        "beta": _beta(config),
        "capacity": None if config.capacity is None else LinearWarmup(0.0, config.capacity, config.warmup_steps),
        "free_bits": config.free_bits,
        "free_bits_per": config.free_bits_per,
        "kl_estimator": config.kl_estimator,
        "parameterization": config.parameterization,
        "min_std": config.min_std,
        "latent_shape": (config.latent_dim,),
    }
    if config.condition != "none":
        return conditional.create(config, layers, condition(config), **options)
    ending = networks.output(config.likelihood, config.probability_floor)
    return VAE(*networks.build(config.model, size, layers, config.latent_dim, ending), **options)


def _beta(config: Config) -> float | Schedule:
    if config.beta_schedule == "linear":
        return LinearWarmup(0.0, config.beta, config.warmup_steps)
    if config.beta_schedule == "cyclical":
        return CyclicalWarmup(0.0, config.beta, config.warmup_steps, cycles=config.cycles)
    return config.beta


def condition(config: Config) -> Condition:
    """What of an image a conditional run is given."""
    return conditions.create(
        config.condition, SIZES[config.data], label_encoding=config.label_encoding, quadrants=config.quadrants
    )


def objective(config: Config, model: Model) -> Objective:
    """How `model` is trained."""
    if not isinstance(model, VAE):
        return Conditional(model, config.train_samples, condition(config))
    kind = ImportanceWeighted if config.objective == "iwae" else Generative
    return kind(model, config.train_samples, binarize=config.binarize == "dynamic")


def log_normalizer(config: Config) -> float:
    """The nats per image that make the training objective's reconstruction term -log p(x|z).

    An importance weight is a ratio of densities, which leaves nothing out.
    """
    if config.objective == "iwae":
        return 0.0
    values = math.prod(SIZES[config.data] if config.condition == "none" else condition(config).target_shape)
    return LIKELIHOODS[config.likelihood].log_normalizer * values


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a file of weights."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    path.parent.mkdir(exist_ok=True)
    # Not save_file, which makes a file that only its owner may read.
    atomic.write(path, lambda partial: partial.write_bytes(save(tensors)))


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


def load_first_guess(model: Model, config: Config) -> None:
    """Give the prior of `model` the weights of the baseline that its config names.

    Raises:
        UserError: the run is missing, or is not a baseline of the same condition and networks.
    """
    assert config.first_guess is not None
    assert isinstance(model, CVAE)
    assert isinstance(model.prior, FirstGuess)
    folder = RunFolder(Path(config.first_guess))
    found = folder.read_config()
    for field, wanted in (("objective", "baseline"), ("condition", config.condition), ("quadrants", config.quadrants)):
        value = getattr(found, field)
        if value != wanted:
            raise UserError(f"--first-guess: {folder.path} has {field} {value!r}; takes a run with {wanted!r}")
    load_weights(model.prior.baseline, folder)


def load_state(model: nn.Module, state: dict[str, torch.Tensor], name: str, folder: RunFolder) -> None:
    """`load_state_dict`, with a mismatch said in one line."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{folder.path / name}: does not fit the model of {folder.config_file.name}") from error
