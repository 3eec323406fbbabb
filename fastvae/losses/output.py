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

    @property
    def kl_terms(self) -> KLTerms | None:
        """None without a ``total_correlation``."""
        return self.get("kl_terms")
