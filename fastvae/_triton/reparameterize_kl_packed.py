"""`reparameterize_kl` on packed moments: two strided views in, one packed gradient out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from fastvae import _outputs
from fastvae._layout import unpack
from fastvae._options import Packing, PosteriorOptions
from fastvae._triton.reparameterize_kl import sample_and_kl, write_gradients


def reparameterize_kl_packed(
    moments: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    packing: Packing,
    options: PosteriorOptions,
) -> tuple[Tensor | None, Tensor | None]:
    """`reparameterize_kl` of the two views into `moments`."""
    mu, scale = unpack(moments, *packing)
    return sample_and_kl(mu, scale, prior_mu, prior_scale, eps, seed, options, interleaved=packing.interleaved)


def reparameterize_kl_packed_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    moments: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    packing: Packing,
    options: PosteriorOptions,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """The gradients of moments, packed as they are, and of the prior, None where not wanted."""
    gradients = _outputs.gradients(wanted, moments, prior_mu, prior_scale)
    packed, *to_prior = gradients
    write_gradients(
        grad_z,
        grad_kl,
        *unpack(moments, *packing),
        prior_mu,
        prior_scale,
        eps,
        seed,
        options,
        (None, None) if packed is None else unpack(packed, *packing),
        (to_prior[0], to_prior[1]),
        interleaved=packing.interleaved,
    )
    return gradients
