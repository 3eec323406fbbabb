"""The rules of the ops for `torch.func.vmap`: one call for all rows, which become a further, leading dimension.

A reduction of each row to a scalar becomes the per-sample reduction of the call over all rows, times the factor of a
mean. Noise is drawn before the call, row by row: rows that share a seed have the same eps.

A rule takes the op, the number of rows, the batched dimension of each argument (None where it has none) and the op's
arguments; it returns the outputs and their batched dimensions.
"""

from fastvae._vmap.densities import importance_weighted_bound as importance_weighted_bound
from fastvae._vmap.densities import importance_weighted_bound_backward as importance_weighted_bound_backward
from fastvae._vmap.densities import log_normal as log_normal
from fastvae._vmap.densities import log_normal_backward as log_normal_backward
from fastvae._vmap.densities import row_by_row as row_by_row
from fastvae._vmap.latents import reparameterize_kl as reparameterize_kl
from fastvae._vmap.latents import reparameterize_kl_backward as reparameterize_kl_backward
from fastvae._vmap.latents import reparameterize_kl_packed as reparameterize_kl_packed
from fastvae._vmap.latents import reparameterize_kl_packed_backward as reparameterize_kl_packed_backward
from fastvae._vmap.likelihoods import discretized_logistic_mixture_nll as discretized_logistic_mixture_nll
from fastvae._vmap.likelihoods import (
    discretized_logistic_mixture_nll_backward as discretized_logistic_mixture_nll_backward,
)
from fastvae._vmap.likelihoods import negative_binomial_nll as negative_binomial_nll
from fastvae._vmap.likelihoods import negative_binomial_nll_backward as negative_binomial_nll_backward
from fastvae._vmap.likelihoods import reconstruction as reconstruction
from fastvae._vmap.likelihoods import reconstruction_backward as reconstruction_backward
