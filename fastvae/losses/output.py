"""What the loss returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fastvae._describe import describe
from fastvae.losses.total_correlation import KLTerms


class ELBOOutput(NamedTuple):
    """What `ELBOLoss` returns.

    Attributes:
        loss: the negative ELBO, differentiable: a scalar, or ``[batch]`` with ``reduction="sample"``.
        reconstruction: the reconstruction term of each sample as it enters `loss`, detached.
        kl: the KL of each sample in nats, before free bits, capacity and beta, detached.
        kl_terms: the three parts of the KL, where `ELBOLoss` has a ``total_correlation``.

    Printed, it is the loss and the shapes of the rest.

    Examples:
        >>> x = torch.zeros(2, 10)
        >>> output = fastvae.ELBOLoss()(x, x, torch.ones(2))
        >>> output
        ELBOOutput(loss=tensor(7.9315), reconstruction=float32[2], kl=float32[2])
        >>> output.kl.mean()
        tensor(1.)
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor
    kl_terms: KLTerms | None = None

    def __repr__(self) -> str:
        return describe(self)
