"""Networks of conditional models: dense, over their inputs side by side (Sohn, Lee & Yan 2015), or those of images."""

from __future__ import annotations

import math
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn

from fastvae import CVAE
from fastvae.losses import Density, Reconstruction
from fastvae.modules import VAEOutput
from fastvae.modules._options import ModelKeywords
from fastvae.networks import Layers, LogCounts, build, decoder_channels, dense, ending, fractions, initialise
from fastvae.train.data.conditions import Conditioning
from fastvae.train.models import levels
from fastvae.train.models.standard import Restored, Standardized
from fastvae.train.settings import architecture
from fastvae.train.settings.config import Config


class Joined(nn.Module):
    """A network over its inputs side by side, each flattened; uint8 is read as value / 255.

    Args:
        *layers: of the network.
        first: what makes numbers of the first input.
    """

    def __init__(self, *layers: nn.Module, first: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Identity() if first is None else first
        self.network = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Any:
        """Inputs of ``[batch, ...]``."""
        inputs = (self.first(inputs[0]), *inputs[1:])
        numbers = (fractions(values) if values.dtype == torch.uint8 else values for values in inputs)
        return self.network(torch.cat([values.flatten(1) for values in numbers], 1))


class Baseline(nn.Module):
    """A deterministic network from the condition to the target: what a latent must do better than.

    Args:
        network: condition to the likelihood's parameters, in the shape of the target.
        likelihood: a name, see `fastvae.ELBOLoss`, or a density.
    """

    def __init__(self, network: nn.Module, likelihood: str | Density) -> None:
        super().__init__()
        self.network = network
        self.reconstruction = Reconstruction(likelihood)

    def forward(self, condition: Tensor, target: Tensor) -> VAEOutput:
        """The negative log-likelihood; the KL is 0 and the latent empty."""
        prediction = self.network(condition)
        loss, samples = self.reconstruction(prediction, target)
        empty = samples.new_empty((len(samples), 0))
        return VAEOutput(
            loss=loss, reconstruction_loss=samples, kl=torch.zeros_like(samples), z=empty, mu=empty, scale=empty,
            prediction=prediction,
        )  # fmt: skip

    def log_prob(self, condition: Tensor, target: Tensor) -> Tensor:
        """log p(target | condition) in nats, ``[batch]``."""
        return self.reconstruction.log_prob(self.network(condition), target)

    def predict(self, condition: Tensor) -> Any:
        """The mean in data space."""
        return self.reconstruction.mean(self.network(condition))


class FirstGuess(nn.Module):
    """A prior network that sees the condition and what `baseline` makes of it: one recurrence (section 4.2).

    The baseline is trained beforehand and stays as it is.
    """

    def __init__(self, baseline: Baseline, network: nn.Module) -> None:
        super().__init__()
        self.baseline = baseline.requires_grad_(False).eval()
        self.network = network

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation of the network; the baseline, with its dropout, is always evaluated."""
        super().train(mode)
        self.baseline.eval()
        return self

    def forward(self, condition: Tensor) -> Any:
        """p(z | condition), packed."""
        with torch.no_grad():
            guess = self.baseline.predict(condition)
        return self.network(condition, guess)


def create(config: Config, conditioning: Conditioning, **options: Unpack[ModelKeywords]) -> CVAE | Baseline:
    """The networks that a config describes, in a `fastvae.CVAE` or a `Baseline`.

    Args:
        config: a run's, with a condition.
        conditioning: what its condition names.
        **options: of the CVAE.
    """
    decoder_hidden = config.hidden[::-1] if config.decoder_hidden is None else config.decoder_hidden
    layers = Layers(config.hidden, decoder_hidden, config.activation, config.dropout)
    if config.model != "mlp":
        return _of_images(config, layers, conditioning.condition_width, **options)
    condition, target = conditioning.condition_width, math.prod(conditioning.target_shape)
    channels, *places = conditioning.target_shape
    given = (decoder_channels(config.likelihood, channels), *places)
    moments, latent = 2 * config.latent_dim, config.latent_dim
    values = "unit" if config.values == "bytes" else config.values
    units = (Restored(target),) if config.values == "real" else ()
    shaped = (nn.Unflatten(1, given), *ending(config.likelihood, config.probability_floor, values=values), *units)

    def joined(widths: tuple[int, ...], *last: nn.Module, first: nn.Module | None = None) -> Joined:
        network = Joined(*dense(widths, layers), *last, first=first)
        initialise(network)
        return network

    def baseline() -> Baseline:
        network = joined((condition, *layers.decoder, math.prod(given)), *shaped)
        return Baseline(network, levels.likelihood(config.likelihood, config.values))

    if config.objective == "baseline":
        return baseline()
    seen = LogCounts() if config.values == "counts" else Standardized(target) if config.values == "real" else None
    recognition = joined((target + condition, *layers.encoder, moments), first=seen)
    generation = joined((latent + condition, *layers.decoder, math.prod(given)), *shaped)
    prior: nn.Module | None = None
    if config.first_guess is not None:
        prior = FirstGuess(baseline(), joined((condition + target, *layers.encoder, moments)))
    elif config.prior == "learned":
        prior = joined((condition, *layers.encoder, moments))
    return CVAE(recognition, generation, prior, objective=config.objective, alpha=config.alpha, **options)


def _of_images(config: Config, layers: Layers, width: int, **options: Unpack[ModelKeywords]) -> CVAE | Baseline:
    """The networks of `fastvae.networks`, given a label of so many numbers; its own prior is dense."""
    arguments = architecture.arguments(config)
    if config.objective == "baseline":
        network = build(**arguments | {"latent_dim": width}).decoder
        return Baseline(network, levels.likelihood(config.likelihood, config.values))
    recognition, generation, latent_shape = build(**arguments, condition=width)
    prior: nn.Module | None = None
    if config.prior == "learned":
        moments = (2 * latent_shape[0], *latent_shape[1:])
        prior = Joined(*dense((width, *layers.encoder, math.prod(moments)), layers), nn.Unflatten(1, moments))
        initialise(prior)
    options["latent_shape"] = latent_shape
    return CVAE(recognition, generation, prior, objective=config.objective, alpha=config.alpha, **options)
