"""fastvae: fused kernels for training variational autoencoders, and the modules built on them."""

import importlib
import importlib.metadata
from types import ModuleType

from fastvae import functional
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
    "functional",
    "networks",
    "use_backend",
]


__version__: str


def __getattr__(name: str) -> ModuleType | str:
    """Attributes that are found on first use, so that an import does not wait for them."""
    if name in ("networks", "reference"):
        return importlib.import_module(f"fastvae.{name}")
    if name == "__version__":
        return importlib.metadata.version("fastvae")
    raise AttributeError(f"module 'fastvae' has no attribute {name!r}")
