"""The training objective: likelihoods, the ELBO and its schedules."""

from fastvae.losses.density import Density
from fastvae.losses.discretized_logistic_mixture import DiscretizedLogisticMixture
from fastvae.losses.elbo import ELBOLoss
from fastvae.losses.multiscale import MultiScale
from fastvae.losses.output import ELBOOutput
from fastvae.losses.reconstruction import Reconstruction
from fastvae.losses.schedules import CyclicalWarmup, LinearWarmup, Schedule

__all__ = [
    "CyclicalWarmup",
    "Density",
    "DiscretizedLogisticMixture",
    "ELBOLoss",
    "ELBOOutput",
    "LinearWarmup",
    "MultiScale",
    "Reconstruction",
    "Schedule",
]
