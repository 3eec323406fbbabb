"""fastvae: fused kernels for training variational autoencoders, and the modules built on them."""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any, Final

from fastvae import _torch_kl as _torch_kl
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

if TYPE_CHECKING:
    from fastvae.train.python.fit import fit as fit
    from fastvae.train.python.load import load as load

# Of the training application, which needs more packages: not in __all__, which `from fastvae import *` imports.
_APPLICATION: Final = ("fit", "load")


def __getattr__(name: str) -> Any:
    """Attributes that are found on first use, so that an import does not wait for them."""
    if name in ("networks", "reference"):
        return importlib.import_module(f"fastvae.{name}")
    if name in _APPLICATION:
        try:
            return getattr(importlib.import_module(f"fastvae.train.python.{name}"), name)
        except ModuleNotFoundError as error:
            lacking = f"fastvae.{name}: {error.name} is not installed; takes pip install 'fastvae[train]'"
            raise ImportError(lacking, name=error.name) from error
    if name == "__version__":
        return importlib.metadata.version("fastvae")
    raise AttributeError(f"module 'fastvae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_APPLICATION, "reference", "__version__"})
