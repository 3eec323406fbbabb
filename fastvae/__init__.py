"""Fused kernels for training variational autoencoders, and the modules built on them.

The examples of all docstrings begin with

    import torch
    import fastvae
    import fastvae.functional as F

Functions on tensors: `help(F)` has them in groups

    F.reparameterize_kl_packed          an encoder's output to a latent z and its KL, in one pass
    F.vae_loss                          the loss that everyone copies, as known projects write it
    F.binary_cross_entropy_with_logits  and other losses, torch's values and gradients

Models: any networks, any likelihood; ``model(x).loss`` is what to minimize

    VAE             the variational autoencoder, `help(fastvae.VAE)`
    BetaVAE         its KL weighted by 4, and with a capacity
    CVAE            conditional: of a target given labels, or a part of an image
    VAEOutput       what they return: loss, latent, posterior, prediction
    modules         these, and noise for their inputs

The objective

    ELBOLoss        likelihood, beta, free bits, capacity, total correlation, or a project's preset
    ELBOOutput      what it returns: loss, reconstruction, KL
    LinearWarmup    a beta or a capacity that rises
    CyclicalWarmup  one that rises several times
    losses          these, likelihoods for counts and for pixels, and what other VAEs add to the loss
    presets         how the ELBO is written in projects people use, a row each

Distributions of the latent

    DiagonalGaussian  what an encoder's output stands for: samples, KL, densities
    MixturePrior      a learned mixture of Gaussians as the prior
    VampPrior         a mixture of the posteriors of pseudo-inputs
    distributions     the first of these, and what a prior of your own has

Networks and training, as the command line has them

    networks        encoders and decoders by name, of images of any size, of vectors and of counts
    fit             trains any model on any data, with checkpoints, metrics and pictures
    load            the trained model of a run
    plots           reconstructions, samples, traversals, the latent and losses as matplotlib figures

Backends

    use_backend     chooses the implementation: C++ and Triton, or plain PyTorch
    functional      the functions above; `fastvae.functional.gaussian_kl` is `F.gaussian_kl`
    reference       the same functions in plain PyTorch: their specification

Command line: ``fastvae train`` trains a VAE on digits that come with the package, in less than a minute; ``fastvae
--help`` lists what there is beside it. Guides and tables are in ``docs/`` of the repository.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any, Final, NoReturn

from fastvae import _extension as _extension  # first, so that what it may say is not at the end of a long traceback
from fastvae import _torch_kl as _torch_kl
from fastvae import distributions, functional, losses, modules, presets
from fastvae._backend import use_backend
from fastvae.distributions import DiagonalGaussian
from fastvae.losses import CyclicalWarmup, ELBOLoss, ELBOOutput, LinearWarmup
from fastvae.modules import CVAE, VAE, BetaVAE, MixturePrior, VAEOutput, VampPrior

__all__ = [
    "CVAE",
    "VAE",
    "BetaVAE",
    "CyclicalWarmup",
    "DiagonalGaussian",
    "ELBOLoss",
    "ELBOOutput",
    "LinearWarmup",
    "MixturePrior",
    "VAEOutput",
    "VampPrior",
    "distributions",
    "fit",
    "functional",
    "load",
    "losses",
    "modules",
    "networks",
    "plots",
    "presets",
    "reference",
    "use_backend",
]


__version__: str

if TYPE_CHECKING:
    from fastvae.train.python.fit import fit as fit
    from fastvae.train.python.load import load as load

# What needs more packages: where each is.
_APPLICATION: Final = {"fit": "train.python.fit", "load": "train.python.load", "plots": "plots"}


class _Without:
    """In place of what lacks a package, and says so when it is used: `help` and ``from fastvae import *`` need none."""

    def __init__(self, name: str, package: str | None) -> None:
        self.__doc__ = f"fastvae.{name}: {package} is not installed; takes pip install 'fastvae[train]'"
        self._package = package

    def __call__(self, *args: object, **options: object) -> NoReturn:
        raise ImportError(self.__doc__, name=self._package)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(name) if name.startswith("__") else ImportError(self.__doc__, name=self._package)

    def __repr__(self) -> str:
        return f"<{self.__doc__}>"


def __getattr__(name: str) -> Any:
    """Attributes that are found on first use, so that an import does not wait for them."""
    if name in ("networks", "reference"):
        return importlib.import_module(f"fastvae.{name}")
    if name in _APPLICATION:
        try:
            module = importlib.import_module(f"fastvae.{_APPLICATION[name]}")
        except ModuleNotFoundError as error:
            return _Without(name, error.name)
        return getattr(module, name, module)
    if name == "__version__":
        return importlib.metadata.version("fastvae")
    raise AttributeError(f"module 'fastvae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__")), "__version__"})
