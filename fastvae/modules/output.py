"""What a model's forward pass returns."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fastvae._named_output import NamedOutput
from fastvae.losses import KLTerms


class VAEOutput(NamedOutput):
    """One forward pass of `VAE`, `BetaVAE` or `CVAE`.

    Attributes:
        loss: the scalar to minimize; with ``reduction="sample"`` one of each sample, ``[batch]``, the mean over its
            latents.
        reconstruction_loss: the reconstruction term of each sample, ``[batch]`` or ``[num_samples, batch]``, detached.
        kl: the KL of each sample in nats, before beta, free bits and capacity, detached.
        z: the latent, ``[batch, ...]`` or ``[num_samples, batch, ...]``.
        mu, scale: the posterior's mean and raw scale.
        prediction: the decoder's output (logits for ``"bernoulli"``), with the leading dimensions of `z`. Of several
            tensors, parameters and those whose first dimension is not the number of latents stay as they are.
        kl_terms: the three parts of the KL, where the objective has a ``total_correlation``.

    A dict and a pytree of these: ``output.loss`` and ``output["loss"]`` are the same. Printed, it is the loss and the
    shapes of the rest.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> vae = fastvae.VAE(torch.nn.Linear(12, 2 * 3), torch.nn.Linear(3, 12))
        >>> vae(torch.zeros(5, 12), sample=False)  # doctest: +NORMALIZE_WHITESPACE
        VAEOutput(loss=tensor(7.9695), reconstruction_loss=float32[5], kl=float32[5], z=float32[5, 3],
                  mu=float32[5, 3], scale=float32[5, 3], prediction=float32[5, 12])
    """

    loss: Tensor
    reconstruction_loss: Tensor
    kl: Tensor
    z: Tensor
    mu: Tensor
    scale: Tensor
    prediction: Any

    @property
    def kl_terms(self) -> KLTerms | None:
        """None without a ``total_correlation``."""
        return self.get("kl_terms")
