"""Encoders and decoders for `fastvae.VAE` and `fastvae.CVAE`: those that ``fastvae train`` builds.

    encoder, decoder, latent_shape = networks.build("resnet", (3, 64, 64), 128, likelihood="bernoulli")
    vae = fastvae.VAE(encoder, decoder, likelihood="bernoulli", latent_shape=latent_shape)

An encoder takes images of any size and number of channels, uint8 or floating point, or vectors, and gives packed
moments; a decoder takes latents and gives the likelihood's parameters. Whatever is asked for is a number, a name or a
tuple of numbers: `resolve` fills in the defaults, and its result can be kept as JSON.

Networks

    build             an encoder and a decoder by name
    Networks          what it returns
    resolve           its arguments with every default filled in
    Arguments         type of these
    Options           type of its keywords

What may be asked for

    ARCHITECTURES     kinds of networks by name: mlp, conv, conv_valid, resnet
    LATENTS           kinds of latents: vector, spatial
    VALUES            first layers by what x is: unit, real, counts
    ACTIVATIONS       activations by name: relu, tanh, silu

Parts, for networks of your own

    Pixels            first layer for images, uint8 or floating point
    LogCounts         first layer for counts
    Conditioned       a network that takes a condition beside its input
    Layers            widths, activation and dropout of dense layers
    dense             these layers
    ending            what a decoder ends with, by its likelihood
    decoder_channels  how many channels it gives, by its likelihood
    fractions         uint8 as value / 255
    initialise        first weights
"""

from fastvae.networks.architectures import ARCHITECTURES, LATENTS
from fastvae.networks.arguments import Arguments, Options, resolve
from fastvae.networks.building import Networks, build
from fastvae.networks.conditioned import Conditioned
from fastvae.networks.ending import decoder_channels, ending
from fastvae.networks.layers import ACTIVATIONS, VALUES, Layers, LogCounts, Pixels, dense, fractions, initialise

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "LATENTS",
    "VALUES",
    "Arguments",
    "Conditioned",
    "Layers",
    "LogCounts",
    "Networks",
    "Options",
    "Pixels",
    "build",
    "decoder_channels",
    "dense",
    "ending",
    "fractions",
    "initialise",
    "resolve",
]
