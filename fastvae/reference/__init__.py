"""The specification: every function of `fastvae.functional` in plain, twice differentiable PyTorch.

It stands on torch and numpy alone and imports nothing of what it specifies. `fastvae.functional` checks the arguments
before it hands over to these functions; called directly, they leave shapes, dtypes and devices to torch, and raise
``ValueError`` for a name (of a reduction, parameterization or preset) that they do not know.
"""

from fastvae.reference.discretized_logistic_mixture import discretized_logistic_mixture_nll
from fastvae.reference.importance_weighted_bound import importance_weighted_bound
from fastvae.reference.log_normal import log_normal
from fastvae.reference.log_normal_mixture import log_normal_mixture
from fastvae.reference.minibatch_log_densities import minibatch_log_densities
from fastvae.reference.negative_binomial_nll import negative_binomial_nll
from fastvae.reference.reconstruction import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll,
    l1_loss,
    mse_loss,
    poisson_nll,
    poisson_nll_of_rate,
)
from fastvae.reference.reparameterize_kl import (
    gaussian_kl,
    reparameterize,
    reparameterize_kl,
    reparameterize_kl_packed,
)
from fastvae.reference.vae_loss import vae_loss

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "discretized_logistic_mixture_nll",
    "gaussian_kl",
    "gaussian_nll",
    "importance_weighted_bound",
    "l1_loss",
    "log_normal",
    "log_normal_mixture",
    "minibatch_log_densities",
    "mse_loss",
    "negative_binomial_nll",
    "poisson_nll",
    "poisson_nll_of_rate",
    "reparameterize",
    "reparameterize_kl",
    "reparameterize_kl_packed",
    "vae_loss",
]
