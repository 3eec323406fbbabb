"""log q(z) and sum_d log q(z_d) of the aggregate posterior on the device."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from fastvae import _outputs
from fastvae._options import MinibatchOptions
from fastvae._triton import _mixture, _operands
from fastvae._triton._mixture import Mixture


def _mixture_of(options: MinibatchOptions, batch: int) -> Mixture:
    """The posteriors of a batch as one mixture, whose weights are the same for most pairs."""
    log_weight, log_own, log_next = options.log_weights(batch)
    if options.weighting == "mws":
        return Mixture(options.form, True, log_weight=log_weight)
    return Mixture(options.form, True, log_own, log_next, log_weight)


def minibatch_log_densities(
    z: Tensor, mu: Tensor, scale: Tensor, options: MinibatchOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """(log q(z), sum_d log q(z_d), sums) of ``[batch, D]``."""
    log_qz, log_qz_product, sums = _outputs.minibatch_log_densities(z)
    if len(z):
        _mixture.add(z, mu, scale, None, _mixture_of(options, len(z)), sums, log_qz, log_qz_product)
    return log_qz, log_qz_product, sums


def minibatch_log_densities_backward(
    grad_log_qz: Tensor | None,
    grad_log_qz_product: Tensor | None,
    z: Tensor,
    mu: Tensor,
    scale: Tensor,
    sums: Tensor,
    options: MinibatchOptions,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Of z, mu and scale, None where not wanted."""
    gradients = _outputs.gradients(wanted, z, mu, scale)
    to_z, to_mu, to_scale = gradients
    if z.numel() == 0:
        _operands.zero(gradients)
        return gradients
    mixture = _mixture_of(options, len(z))
    upstream = grad_log_qz, grad_log_qz_product
    _mixture.gradients(upstream, z, mu, scale, None, sums, mixture, to_z, to_mu, to_scale)
    return gradients
