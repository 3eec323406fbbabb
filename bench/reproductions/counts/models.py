"""scVI's networks, and the objective with fastvae and in plain PyTorch."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from bench import heavy_ops
from bench.reproductions.fitting import Objective, Terms
from fastvae import CVAE
from fastvae.losses import NegativeBinomial

LATENT: Final = 10
_HIDDEN: Final = 128
NAMES: Final = {"poisson": "Poisson", "nb": "negative binomial", "zinb": "zero-inflated negative binomial"}
LIKELIHOODS: Final = tuple(NAMES)


def _hidden(inputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, _HIDDEN), nn.BatchNorm1d(_HIDDEN, eps=1e-3, momentum=0.01), nn.ReLU())


class Encoder(nn.Module):
    """Counts to mu and log-variance, packed ``[batch, 20]``; the size of the library is not asked for."""

    def __init__(self, genes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_hidden(genes), nn.Dropout(0.1), nn.Linear(_HIDDEN, 2 * LATENT))

    def forward(self, counts: Tensor, log_library: Tensor) -> Tensor:
        """Of counts ``[batch, genes]``."""
        moments: Tensor = self.layers(torch.log1p(counts))
        return moments


class Decoder(nn.Module):
    """z and the logarithm of the cell's library to log means, and to the logits of a zero that no count made.

    Args:
        genes: how many.
        dropouts: whether it returns these logits.
    """

    def __init__(self, genes: int, *, dropouts: bool) -> None:
        super().__init__()
        self.hidden = _hidden(LATENT)
        self.share = nn.Linear(_HIDDEN, genes)
        self.logits = nn.Linear(_HIDDEN, genes) if dropouts else None

    def forward(self, z: Tensor, log_library: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """``[batch, genes]``, once or twice; `log_library` is ``[batch, 1]``."""
        hidden = self.hidden(z)
        log_mean = torch.log_softmax(self.share(hidden), 1) + log_library
        return log_mean if self.logits is None else (log_mean, self.logits(hidden))


def model_of(likelihood: str, genes: int) -> CVAE:
    """p(counts | library) with counts that are ``"poisson"``, ``"nb"`` or ``"zinb"``; the prior is N(0, I)."""
    dropouts = likelihood == "zinb"
    density = "poisson" if likelihood == "poisson" else NegativeBinomial(genes, zero_inflated=dropouts)
    return CVAE(Encoder(genes), Decoder(genes, dropouts=dropouts), likelihood=density, latent_shape=(LATENT,))


def log_library(counts: Tensor) -> Tensor:
    """The logarithm of each cell's number of molecules, ``[batch, 1]``."""
    return counts.sum(1, keepdim=True).log()


def fast(model: CVAE) -> Objective:
    """The objective of `model`."""

    def objective(counts: Tensor) -> Terms:
        found = model(log_library(counts), counts)
        return Terms(found.loss, found.reconstruction_loss.mean(), found.kl.mean())

    return objective


def plain(model: CVAE) -> Objective:
    """The same for its networks in plain PyTorch, with scvi-tools' formulas of the two negative binomials."""
    assert model.elbo.reconstruction is not None
    density = model.elbo.reconstruction.likelihood
    assert isinstance(density, NegativeBinomial)
    assert density.log_inverse_dispersion is not None
    log_theta = density.log_inverse_dispersion

    def objective(counts: Tensor) -> Terms:
        library = log_library(counts)
        mu, logvar = model.recognition(counts, library).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        prediction = model.generation(z, library)
        if density.zero_inflated:
            log_mean, logits = prediction
            (reconstruction,) = heavy_ops.zero_inflated(log_mean.exp(), log_theta.exp(), logits, counts)
        else:
            (reconstruction,) = heavy_ops.negative_binomial(prediction.exp(), log_theta.exp(), counts)
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
        return Terms(reconstruction + kl, reconstruction.detach(), kl.detach())

    return objective
