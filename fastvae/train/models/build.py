"""The model that a config describes."""

from __future__ import annotations

import torch
from torch import nn

from fastvae import CVAE, VAE, CyclicalWarmup, LinearWarmup, MixturePrior, VampPrior, networks
from fastvae.losses import Schedule
from fastvae.modules._options import ModelKeywords
from fastvae.train.data import conditions
from fastvae.train.data.conditions import Conditioning
from fastvae.train.models import conditional, levels
from fastvae.train.models.conditional import Baseline
from fastvae.train.models.standard import Restored, Standardized
from fastvae.train.settings import architecture
from fastvae.train.settings.config import Config
from fastvae.train.settings.kinds import DIVIDED

Model = VAE | CVAE | Baseline


def create(config: Config) -> Model:
    """A fresh model on the CPU: the same weights for the same seed, whatever the device of the run."""
    torch.manual_seed(config.seed)
    options: ModelKeywords = {
        "likelihood": levels.likelihood(config.likelihood, config.values),
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
        return conditional.create(config, conditioning(config), **options)
    if config.objective in DIVIDED:
        for name in ("total_correlation", "mutual_information", "dimension_kl", "dataset_size", "weighting"):
            options[name] = getattr(config, name)
    encoder, decoder, options["latent_shape"] = networks.build(**architecture.arguments(config))
    if config.values == "real":
        # In place of the layer that makes numbers of what is stored, which these are.
        encoder = nn.Sequential(Standardized(*config.shape), *list(encoder.children())[1:])
        decoder = nn.Sequential(*decoder.children(), Restored(*config.shape))
    return VAE(encoder, decoder, prior=_prior(config, encoder), **options)


def _prior(config: Config, encoder: nn.Module) -> nn.Module | None:
    """The mixture that a config names. Pseudo-inputs, of what the encoder's first layer gives, `models.start` fills."""
    if config.prior == "mixture":
        return MixturePrior(config.components)
    if config.prior == "vamp":
        assert isinstance(encoder, nn.Sequential)
        pseudo_inputs = torch.zeros(config.components, *config.shape)
        return VampPrior(pseudo_inputs, encoder[1:], parameterization=config.parameterization, min_std=config.min_std)
    return None


def _beta(config: Config) -> float | Schedule:
    if config.beta_schedule == "linear":
        return LinearWarmup(0.0, config.beta, config.warmup_steps)
    if config.beta_schedule == "cyclical":
        return CyclicalWarmup(0.0, config.beta, config.warmup_steps, cycles=config.cycles)
    return config.beta


def conditioning(config: Config) -> Conditioning:
    """What makes a condition and a target of an image, in a conditional run."""
    return conditions.create(
        config.condition,
        config.shape,
        config.labels,
        label_encoding=config.label_encoding,
        quadrants=config.quadrants,
    )
