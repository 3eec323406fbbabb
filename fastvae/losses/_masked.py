"""The KL of VITS: estimated in the prior's part only, at a sample that a flow has moved, and averaged over a mask."""

from __future__ import annotations

import math

from torch import Tensor

from fastvae.distributions import DiagonalGaussian, Prior


def masked_kl(
    posterior: DiagonalGaussian, z: Tensor | None, prior: Prior, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """log sigma_p - log sigma_q - 0.5 + 0.5 ((z - mu_p) / sigma_p)^2 (Kim et al. 2021).

    Returns:
        The mean over the mask, a scalar, and the sum over the mask of each sample, ``[batch]``.
    """
    if z is None or prior is None or mask is None:
        missing = next(name for name, value in (("z", z), ("prior", prior), ("mask", mask)) if value is None)
        raise ValueError(f"{missing}: got None with preset='vits'; takes the flowed sample's")
    negative_log_prior = -posterior.log_prior(z, prior, reduction="none")
    # What that has beyond the formula is 0.5 log(2 pi).
    elements = negative_log_prior - 0.5 * posterior.logvar - 0.5 * (1 + math.log(2 * math.pi))
    samples = (elements * mask).flatten(1).sum(1)
    return samples.sum() / mask.sum(), samples
