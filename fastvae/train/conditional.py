"""Networks of conditional models: dense, over whatever is given side by side (Sohn, Lee & Yan 2015)."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor, nn

from fastvae import CVAE
from fastvae.losses import Reconstruction
from fastvae.modules import VAEOutput
from fastvae.train import networks
from fastvae.train.conditions import Condition
from fastvae.train.config import Config
from fastvae.train.networks import Layers, dense
from fastvae.train.pixels import fractions


class Joined(nn.Module):
    """A network over its inputs side by side, each flattened; uint8 is read as value / 255."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.network = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Any:
        """Inputs of ``[batch, ...]``."""
        numbers = (fractions(values) if values.dtype == torch.uint8 else values for values in inputs)
        return self.network(torch.cat([values.flatten(1) for values in numbers], 1))


class Baseline(nn.Module):
    """A deterministic network from the condition to the target: what a latent must do better than.

    Args:
        network: condition to the likelihood's parameters, in the shape of the target.
        likelihood: a name, see `fastvae.ELBOLoss`.
    """

    def __init__(self, network: nn.Module, likelihood: str) -> None:
        super().__init__()
        self.network = network
        self.reconstruction = Reconstruction(likelihood)

    def forward(self, condition: Tensor, target: Tensor) -> VAEOutput:
        """The negative log-likelihood; the KL is 0 and the latent empty."""
        prediction = self.network(condition)
        loss, samples = self.reconstruction(prediction, target)
        empty = samples.new_empty((len(samples), 0))
        return VAEOutput(loss, samples, torch.zeros_like(samples), empty, empty, empty, prediction)

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


def create(config: Config, layers: Layers, condition: Condition, **options: Any) -> CVAE | Baseline:
    """The networks that a config describes, in a `fastvae.CVAE` or a `Baseline`.

    Args:
        config: a run's, with a condition.
        layers: of its networks.
        condition: what it names.
        **options: of the CVAE.
    """
    given, target = condition.condition_width, math.prod(condition.target_shape)
    moments, latent = 2 * config.latent_dim, config.latent_dim
    ending = networks.output(config.likelihood, config.probability_floor)
    shaped = (nn.Unflatten(1, condition.target_shape), *ending)

    def joined(widths: tuple[int, ...], *last: nn.Module) -> Joined:
        network = Joined(*dense(widths, layers), *last)
        networks.initialise(network)
        return network

    def baseline() -> Baseline:
        return Baseline(joined((given, *layers.decoder, target), *shaped), config.likelihood)

    if config.objective == "baseline":
        return baseline()
    recognition = joined((target + given, *layers.encoder, moments))
    generation = joined((latent + given, *layers.decoder, target), *shaped)
    prior: nn.Module | None = None
    if config.first_guess is not None:
        prior = FirstGuess(baseline(), joined((given + target, *layers.encoder, moments)))
    elif config.prior == "learned":
        prior = joined((given, *layers.encoder, moments))
    return CVAE(recognition, generation, prior, objective=_objective(config.objective), alpha=config.alpha, **options)


def _objective(name: str) -> str:
    return "cvae" if name == "elbo" else name
