"""Variational autoencoders over any networks."""

from fastvae.modules.cvae import CVAE
from fastvae.modules.output import VAEOutput
from fastvae.modules.vae import VAE, BetaVAE

__all__ = ["CVAE", "VAE", "BetaVAE", "VAEOutput"]
