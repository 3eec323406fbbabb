"""Encoders and decoders of images for `fastvae.VAE`: those that ``fastvae train`` builds.

    encoder, decoder = networks.build("conv", (28, 28), networks.Layers((256,), (256,)), latent_dim=20)
    vae = fastvae.VAE(encoder, decoder, likelihood="bernoulli", latent_shape=20)

An encoder takes uint8 images and gives packed moments; a decoder takes latents and gives the likelihood's parameters:
what follows its last layer and how many channels it has are `ending` and `decoder_channels` of the likelihood's name.
"""

from fastvae.networks.architectures import ARCHITECTURES, build
from fastvae.networks.ending import decoder_channels, ending
from fastvae.networks.layers import ACTIVATIONS, Layers, Pixels, dense, fractions, initialise

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "Layers",
    "Pixels",
    "build",
    "decoder_channels",
    "dense",
    "ending",
    "fractions",
    "initialise",
]
