"""fastvae: fused kernels for training variational autoencoders, and the modules built on them."""

from fastvae import functional
from fastvae._backend import use_backend

__all__ = ["functional", "use_backend"]
