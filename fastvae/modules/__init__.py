"""Variational autoencoders over any networks, and noise for their inputs."""

from fastvae.modules.cvae import CVAE
from fastvae.modules.omission import BlockOmission
from fastvae.modules.output import VAEOutput
from fastvae.modules.priors import MixturePrior, VampPrior
from fastvae.modules.vae import VAE, BetaVAE

__all__ = ["CVAE", "VAE", "BetaVAE", "BlockOmission", "MixturePrior", "VAEOutput", "VampPrior"]
