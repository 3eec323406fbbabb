"""Variational autoencoders over any networks, and noise for their inputs.

Models

    VAE            the variational autoencoder
    BetaVAE        its KL weighted by 4 unless told otherwise
    CVAE           conditional: p(target | condition)
    VAEOutput      what their forward pass returns

Priors of a VAE

    MixturePrior   a learned mixture of Gaussians
    VampPrior      a mixture of the posteriors of pseudo-inputs

Noise

    BlockOmission  omits a rectangle of each image, for the input of a conditional model
"""

from fastvae.modules.cvae import CVAE
from fastvae.modules.omission import BlockOmission
from fastvae.modules.output import VAEOutput
from fastvae.modules.priors import MixturePrior, VampPrior
from fastvae.modules.vae import VAE, BetaVAE

__all__ = ["CVAE", "VAE", "BetaVAE", "BlockOmission", "MixturePrior", "VAEOutput", "VampPrior"]
