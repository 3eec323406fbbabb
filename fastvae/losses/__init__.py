"""The training objective: likelihoods, the ELBO and its schedules.

The objective

    ELBOLoss                    reconstruction + beta * KL, with its options
    ELBOOutput                  what it returns
    TotalCorrelation            the KL in three parts with a weight each: beta-TC-VAE
    KLTerms                     these parts
    Reconstruction              the reconstruction term alone

Schedules of beta and capacity

    LinearWarmup                rises once
    CyclicalWarmup              rises several times
    Schedule                    base class of your own

Likelihoods that are more than a name

    NegativeBinomial            counts, with or without extra zeros: scVI
    DiscretizedLogisticMixture  pixels of 8 bits: PixelCNN++, VDVAE, NVAE
    MultiScale                  several sizes of one image
    Density                     base class of your own

Added to the loss by hand

    DIP                         covariance of the latents: DIP-VAE
    MMD                         distance of the latents from the prior: InfoVAE
"""

from fastvae.losses.density import Density
from fastvae.losses.discretized_logistic_mixture import DiscretizedLogisticMixture
from fastvae.losses.elbo import ELBOLoss
from fastvae.losses.multiscale import MultiScale
from fastvae.losses.negative_binomial import NegativeBinomial
from fastvae.losses.output import ELBOOutput
from fastvae.losses.reconstruction import Reconstruction
from fastvae.losses.regularizers import DIP, MMD
from fastvae.losses.schedules import CyclicalWarmup, LinearWarmup, Schedule
from fastvae.losses.total_correlation import KLTerms, TotalCorrelation

__all__ = [
    "DIP",
    "MMD",
    "CyclicalWarmup",
    "Density",
    "DiscretizedLogisticMixture",
    "ELBOLoss",
    "ELBOOutput",
    "KLTerms",
    "LinearWarmup",
    "MultiScale",
    "NegativeBinomial",
    "Reconstruction",
    "Schedule",
    "TotalCorrelation",
]
