"""The training objective: likelihoods, the ELBO and its schedules."""

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
