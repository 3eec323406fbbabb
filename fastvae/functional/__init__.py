"""The whole product: fused, differentiable VAE operations on tensors of shape ``[batch, ...]``.

The latent and its KL

    reparameterize                    z = mu + sigma * eps, its noise never stored
    gaussian_kl                       KL(N(mu, sigma^2) || prior), analytic
    reparameterize_kl                 both in one pass over the inputs
    reparameterize_kl_packed          the same on an encoder's single output

Reconstruction losses, negative log-likelihoods of the data

    binary_cross_entropy_with_logits  Bernoulli, of logits
    binary_cross_entropy              Bernoulli, of probabilities
    mse_loss                          squared error: Gaussian
    l1_loss                           absolute error: Laplace
    gaussian_nll                      Gaussian with a learned sigma
    poisson_nll                       counts, of log rates
    poisson_nll_of_rate               counts, of rates
    negative_binomial_nll             counts with more variance, or more zeros, than a Poisson's: scVI
    discretized_logistic_mixture_nll  pixels of 8 bits: PixelCNN++, VDVAE, NVAE

Log-densities and bounds, for Monte-Carlo ELBOs

    log_normal                        of a diagonal Gaussian
    log_normal_mixture                of a mixture of them, such as a VampPrior
    minibatch_log_densities           of the aggregate posterior: total correlation
    importance_weighted_bound         of K weights: IWAE

The whole loss

    vae_loss                          reconstruction + beta * KL, as known projects write it

Conventions shared by every function:

- Tensors have rank 1 or more and dtype float32, float64, bfloat16 or float16; any strided view is read in place.
  Arithmetic is float32 inside (float64 for float64). Losses come back float32 (float64), gradients and samples
  in the dtype of the input they belong to.
- ``reduction``: ``"none"`` elementwise, ``"sample"`` the sum over all but the batch dimension, ``"sum"``,
  ``"mean"`` over every element, ``"batchmean"`` the sum divided by the batch. ``batch_dims`` says how many leading
  dimensions index samples: 2 for ``[num_samples, batch, ...]``.
- CPU tensors run C++, CUDA and ROCm tensors run Triton, meta tensors give shapes, any other device raises
  ``NotImplementedError``;
  `fastvae.use_backend` chooses the plain PyTorch mathematics of `fastvae.reference` instead. A second derivative and
  one in forward mode need it too.
- Under `torch.func.vmap` all rows are one call. Noise follows vmap's `randomness`, as that of torch's own functions.
- Bad arguments raise ``ValueError`` or ``TypeError`` naming the argument, what it got and what it takes.
"""

from fastvae.functional.discretized_logistic_mixture import discretized_logistic_mixture_nll
from fastvae.functional.importance_weighted_bound import importance_weighted_bound
from fastvae.functional.log_normal import log_normal
from fastvae.functional.log_normal_mixture import log_normal_mixture
from fastvae.functional.minibatch_log_densities import minibatch_log_densities
from fastvae.functional.negative_binomial_nll import negative_binomial_nll
from fastvae.functional.reconstruction import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll,
    l1_loss,
    mse_loss,
    poisson_nll,
    poisson_nll_of_rate,
)
from fastvae.functional.reparameterize_kl import (
    gaussian_kl,
    reparameterize,
    reparameterize_kl,
    reparameterize_kl_packed,
)
from fastvae.functional.vae_loss import vae_loss

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
