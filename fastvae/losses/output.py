"""What the loss returns."""

from __future__ import annotations

from torch import Tensor

from fastvae._named_output import NamedOutput
from fastvae.losses.total_correlation import KLTerms


class ELBOOutput(NamedOutput):
    """What `ELBOLoss` returns.

    Attributes:
        loss: the negative ELBO, differentiable: a scalar, or ``[batch]`` with ``reduction="sample"``.
        reconstruction: the reconstruction term of each sample as it enters `loss`, detached.
        kl: the KL of each sample in nats, before free bits, capacity and beta, detached.
        kl_terms: the three parts of the KL, where `ELBOLoss` has a ``total_correlation``.

    A dict and a pytree of these: ``output.loss`` and ``output["loss"]`` are the same. Printed, it is the loss and the
    shapes of the rest.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor

    @property
    def kl_terms(self) -> KLTerms | None:
        """None without a ``total_correlation``."""
        return self.get("kl_terms")
