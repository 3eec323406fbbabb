"""What training begins from beside fresh weights: what the data and another run already tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE, VampPrior
from fastvae._likelihoods import LIKELIHOODS
from fastvae.losses import Reconstruction
from fastvae.networks import decoder_channels, fractions
from fastvae.train.data.datasets import Split
from fastvae.train.errors import UserError
from fastvae.train.models import standard
from fastvae.train.models.build import Model, conditioning
from fastvae.train.models.conditional import Baseline, FirstGuess
from fastvae.train.runs import weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings.config import Config
from fastvae.train.settings.kinds import OF_COUNTS

# Pixels that never change have no deviation, and bytes tell no smaller one.
_GREY_LEVEL: Final = 1 / 255
# Of numbers in any unit: a deviation whose square is a normal float32.
_SMALLEST: Final = 1e-18
# A feature that is never counted has no logarithm of its mean.
_RARE: Final = 1e-4
# What the data tells is told by so many bytes of it: of more, the first ones, which are a fair sample.
_READ: Final = 2**28


def begin(model: Model, config: Config, train: Split) -> None:
    """Prepare a model that has not been trained.

    Raises:
        ValueError: a likelihood with a learned scale that this knows no start for.
        UserError: the run that the config's first guess is from is missing, or does not fit.
    """
    standard.begin(model, _targets(config, train))
    scales = [
        module for module in model.modules() if isinstance(module, Reconstruction) and module.log_scale is not None
    ]
    if scales:
        value = math.log(max(_deviation(config, train), _SMALLEST if config.values == "real" else _GREY_LEVEL))
        for module in scales:
            assert module.log_scale is not None
            nn.init.constant_(module.log_scale, value)
    if config.likelihood in OF_COUNTS:
        _begin_at_mean(model, config, train)
    if isinstance(model, VAE) and isinstance(model.prior, VampPrior):
        assert isinstance(model.encoder, nn.Sequential)
        _load_pseudo_inputs(model.prior, model.encoder[0], config, train)
    if config.first_guess is not None:
        _load_first_guess(model, config)


def _deviation(config: Config, train: Split) -> float:
    """How far the targets' pixels are from their centres over images, one number for all pixels.

    It is the learned scale of the best decoder that ignores its latent. From a greater one, such as 1, where an error
    costs less than the KL that would avoid it, the latent collapses before the scale has come down.
    """
    loss = LIKELIHOODS[config.likelihood].loss
    if loss not in _DEVIATIONS:
        raise ValueError(f"likelihood: got {config.likelihood!r}, for whose scale no start is known")
    return _DEVIATIONS[loss](_targets(config, train))


def _begin_at_mean(model: Model, config: Config, train: Split) -> None:
    """Give the decoder's last biases the logarithm of the mean level: one number for all pixels, or one for each count.

    From a mean of 1 level the first epochs go to brightness alone: the network gets it from the latent, and draws black
    images from the prior for as long.
    """
    samples, totals = 0, torch.zeros((), dtype=torch.float64)
    for target in _targets(config, train):
        totals = totals + target.sum(0, dtype=torch.float64).cpu()
        samples += len(target)
    counted = config.values == "counts"
    means = (totals / samples).clamp(min=_RARE) if counted else (totals.mean() / samples).clamp(min=1.0)
    decoder = (
        model.decoder if isinstance(model, VAE) else model.network if isinstance(model, Baseline) else model.generation
    )
    *_, last = (layer for layer in decoder.modules() if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)))
    assert last.bias is not None
    # The mean is the first of the parts that each pixel has.
    first = last.bias[: len(last.bias) // decoder_channels(config.likelihood)]
    with torch.no_grad():
        first.copy_(means.log())


def _targets(config: Config, train: Split) -> Iterator[Tensor]:
    """``[batch, pixels]`` of the training images, or of the first ones, see `_READ`."""
    conditioned = conditioning(config).to(train.images.device) if config.condition == "quadrants" else None
    read = 0
    with closing(train.batches()) as batches:
        for images, labels in batches:
            yield (images if conditioned is None else conditioned(images, labels).target).flatten(1)
            read += images.nbytes
            if read >= _READ:
                return


def _standard_deviation(targets: Iterable[Tensor]) -> float:
    """About the means: the scale of a Gaussian."""
    count = 0
    total = squares = torch.zeros((), dtype=torch.float64)
    for target in targets:
        count += len(target)
        values = fractions(target).double().cpu()
        total = total + values.sum(0)
        squares = squares + values.square().sum(0)
    variances = squares / count - (total / count).square()
    return math.sqrt(max(variances.mean().item(), 0.0))


def _absolute_deviation(targets: Iterable[Tensor]) -> float:
    """About the medians: the scale of a Laplace distribution."""
    targets = list(targets)
    medians = torch.cat(targets).median(0).values
    distances = [(fractions(target) - fractions(medians)).abs().double().mean(1) for target in targets]
    return torch.cat(distances).mean().item()


# By the loss of a likelihood.
_DEVIATIONS: Final[dict[str, Callable[[Iterable[Tensor]], float]]] = {
    "gaussian_nll": _standard_deviation,
    "l1_loss": _absolute_deviation,
}


def _load_pseudo_inputs(prior: VampPrior, numbers: nn.Module, config: Config, train: Split) -> None:
    """Training images as `numbers`, the encoder's first layer, gives them, chosen by the run's seed.

    More pseudo-inputs than images begin again with the first ones.
    """
    order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(config.seed))
    chosen = order.repeat(-(-len(prior.pseudo_inputs) // len(order)))[: len(prior.pseudo_inputs)]
    with torch.no_grad():
        prior.pseudo_inputs.copy_(numbers(train.images[chosen.to(train.images.device)]))


def _load_first_guess(model: Model, config: Config) -> None:
    """Give the prior of `model` the weights of the baseline that its config names.

    Raises:
        UserError: the run is missing, or is not a baseline of the same condition, likelihood and networks.
    """
    assert config.first_guess is not None
    assert isinstance(model, CVAE)
    assert isinstance(model.prior, FirstGuess)
    folder = RunFolder(Path(config.first_guess))
    found = folder.read_config()
    fields = {"objective": "baseline"} | {
        name: getattr(config, name) for name in ("condition", "quadrants", "likelihood")
    }
    for field, wanted in fields.items():
        value = getattr(found, field)
        if value != wanted:
            raise UserError(f"--first-guess: {folder.path} has {field} {value!r}; takes a run with {wanted!r}")
    weights.load(model.prior.baseline, folder)
