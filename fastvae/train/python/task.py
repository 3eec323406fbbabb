"""A user's model as a loop trains it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae._describe import describe
from fastvae._likelihoods import LIKELIHOODS
from fastvae.train.loop.task import Wording
from fastvae.train.models.objectives import Loss, Objective
from fastvae.train.processes import group, parallel
from fastvae.train.processes.group import Share
from fastvae.train.runs import random
from fastvae.train.runs.metrics import Epoch, Means


class OfLibrary(Objective):
    """The loss of a `VAE`, `BetaVAE` or `CVAE`, by the options that it has."""

    def forward(self, *batch: Tensor, share: Share | None = None) -> Loss:
        """What the model takes, ``[batch, ...]`` each; `share` where it is a part of a batch."""
        found = self._loss(*batch, share=share)
        return found if found.loss.dim() == 0 else found._replace(loss=found.loss.mean())


class OfModule(nn.Module):
    """The loss that any other module returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *batch: Tensor, share: Share | None = None) -> Loss:
        """What the model takes, ``[batch, ...]`` each; `share` where it is a part of a batch."""
        if share is None or group.count() == 1:
            loss = loss_of(self.model(*batch))
        else:
            # The same everywhere, then another in each process: rows of one batch with noise of their own.
            seed = int(torch.randint(2**62, ())) + share.rows.start
            with random.separate(seed, batch[0].device):
                loss = loss_of(self.model(*batch))
        unmeasured = loss.detach().new_full((len(batch[0]),), math.nan)
        return Loss(loss, unmeasured, unmeasured)


def loss_of(output: Any) -> Tensor:
    """The loss in what a module returned.

    Raises:
        TypeError: there is none.
        ValueError: it is no single number.
    """
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", output)
    if not isinstance(loss, Tensor):
        raise TypeError(
            f"model: got {describe(output)} from its forward pass; takes a loss, or a mapping, a named tuple or a "
            "dataclass that has `loss`"
        )
    if loss.dim():
        raise ValueError(f"model: got a loss of shape {list(loss.shape)}; takes one number, such as its mean")
    return loss


class LossAlone:
    """Of a module whose loss has no parts that are known."""

    unit = "samples"
    text = "loss = what the model returns"

    def line(self, means: Means) -> str:
        """The loss."""
        return f"loss {means.loss:.6g}"

    def trained(self, row: Epoch) -> str:
        """That of the training data."""
        return f"train loss {row.train_loss:.6g}"

    def measured(self, row: Epoch) -> str:
        """That of the data held out."""
        return "" if row.validation_loss is None else f"validation loss {row.validation_loss:.6g}"


class WithParts(LossAlone):
    """Of a model of the library."""

    text = "in nats per sample: ELBO = -(reconstruction + KL); loss = what the model minimizes"

    def line(self, means: Means) -> str:
        """The loss and the ELBO."""
        parts = f"reconstruction {means.reconstruction:.2f} + KL {means.kl:.2f}"
        return f"ELBO {means.elbo:.2f} = -({parts}), loss {means.loss:.2f}"

    def trained(self, row: Epoch) -> str:
        """Those of the training data."""
        means = Means(row.train_loss, row.train_elbo, row.train_reconstruction, row.train_kl)
        return f"train {self.line(means)}"


class Given:
    """The task of `fastvae.fit`: the model that a user gave, which is trained in place.

    Args:
        model: of the library, or a module that returns a loss.
        target: the shape of a sample of what is reconstructed.
    """

    # What a user's networks do need not be capturable.
    capturable = False

    def __init__(self, model: nn.Module, target: torch.Size) -> None:
        self.model = model
        self.of_library = isinstance(model, (VAE, CVAE))
        self.some_unused = not isinstance(model, VAE)
        self.log_normalizer = log_normalizer(model, target)
        self.legend: Wording = WithParts() if self.of_library else LossAlone()

    def create(self) -> nn.Module:
        """The model."""
        return self.model

    def begin(self, model: nn.Module) -> None:
        """As it is; that of the first process in all of them."""
        parallel.copy_first(model)

    def objective(self, model: nn.Module) -> nn.Module:
        """What its forward pass says of a batch."""
        if isinstance(model, (VAE, CVAE)):
            return OfLibrary(model, 1)
        return OfModule(model)


def log_normalizer(model: nn.Module, target: torch.Size) -> float:
    """Nats a sample that the loss of a model leaves out of -log p(x|z); presets have scales of their own."""
    if not isinstance(model, (VAE, CVAE)) or model.elbo.preset is not None or model.elbo.reconstruction is None:
        return 0.0
    name = model.elbo.reconstruction.likelihood
    return LIKELIHOODS[name].log_normalizer * target.numel() if isinstance(name, str) else 0.0


def of_whole_batches(model: nn.Module) -> str | None:
    """Why the loss of a batch is no mean over its samples; None where it is one."""
    if not isinstance(model, (VAE, CVAE)):
        return None
    if model.elbo.mixes_samples:
        return model.elbo.mixes_samples
    sums = "sum" in (model.elbo.convention.reconstruction, model.elbo.convention.kl)
    return f"preset {model.elbo.preset!r}" if sums else None


def inputs_of(model: nn.Module) -> int | None:
    """How many arguments the forward pass of a model needs; None for any number."""
    parameters = inspect.signature(model.forward).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [each for each in parameters if each.kind in positional and each.default is each.empty]
    return max(1, len(needed))
