"""The training objective: likelihoods, the ELBO and its schedules."""

from fastvae.losses.elbo import ELBOLoss, ELBOOutput
from fastvae.losses.reconstruction import Reconstruction
from fastvae.losses.schedules import CyclicalWarmup, LinearWarmup, Schedule

__all__ = ["CyclicalWarmup", "ELBOLoss", "ELBOOutput", "LinearWarmup", "Reconstruction", "Schedule"]
