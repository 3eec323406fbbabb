"""What the loss returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fastvae._describe import describe


class ELBOOutput(NamedTuple):
    """What `ELBOLoss` returns.

    Attributes:
        loss: the negative ELBO, differentiable: a scalar, or ``[batch]`` with ``reduction="sample"``.
        reconstruction: the reconstruction term of each sample as it enters `loss`, detached.
        kl: the KL of each sample in nats, before free bits, capacity and beta, detached.

    Printed, it is the loss and the shapes of the rest.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor

    def __repr__(self) -> str:
        return describe(self)
