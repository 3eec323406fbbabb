"""`reparameterize_kl` on packed moments: two strided views in, one packed gradient out."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fastvae import _outputs
from fastvae._layout import unpack
from fastvae._options import Posterior
from fastvae._triton.reparameterize_kl import reparameterize_kl, write_gradients


def reparameterize_kl_packed(
    moments: Tensor, dim: int, interleaved: bool, *posterior: Any
) -> tuple[Tensor | None, Tensor | None]:
    """`reparameterize_kl` of the two views into `moments`."""
    return reparameterize_kl(*unpack(moments, dim, interleaved), *posterior, interleaved=interleaved)


def reparameterize_kl_packed_backward(
    grad_z: Tensor | None, grad_kl: Tensor | None, moments: Tensor, dim: int, interleaved: bool, *posterior: Any
) -> tuple[Tensor | None, ...]:
    """The gradients of moments, packed as they are, and of the prior, None where not wanted; `wanted` comes last."""
    *rest, wanted = posterior
    options = Posterior(*rest)
    gradients = _outputs.gradients(wanted, moments, *options[:2])
    packed, *to_prior = gradients
    write_gradients(
        grad_z,
        grad_kl,
        *unpack(moments, dim, interleaved),
        options,
        (None, None) if packed is None else unpack(packed, dim, interleaved),
        (to_prior[0], to_prior[1]),
        interleaved=interleaved,
    )
    return gradients
