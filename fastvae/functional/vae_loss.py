"""The loss under the signature everyone copies, written as any of the known projects writes it."""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks
from fastvae._layout import flattened_like
from fastvae._likelihoods import LIKELIHOODS
from fastvae.functional._elbo import kl_term, reconstruction_term
from fastvae.functional.reparameterize_kl import gaussian_kl
from fastvae.presets import check_four_arguments


def vae_loss(
    recon_x: Tensor | None,
    x: Tensor | None,
    mu: Tensor,
    logvar: Tensor,
    *,
    preset: str = "pytorch-examples",
    beta: float | Tensor = 1.0,
) -> Tensor:
    """Reconstruction term plus beta times the KL term, each reduced and weighted as `preset` says.

    Equivalent, with the default preset, to
    ``binary_cross_entropy(recon_x, x, reduction="sum") + gaussian_kl(mu, logvar, reduction="sum")``.

    Args:
        recon_x, x: prediction and data, ``[batch, ...]`` of one shape, but that images beside a flat prediction count
            as flat, too. Both None for a preset without a reconstruction term.
        mu, logvar: the posterior, ``[batch, ...]``. `logvar` is the raw scale the preset's project uses: log variance
            in all but ``"oobleck"``, where std = softplus(raw) + 1e-4.
        preset: a row of `fastvae.presets`, with the project's default likelihood and a capacity of 0.
        beta: a float or 0-dim tensor that multiplies the KL term, besides the preset's own weight.

    Returns:
        A scalar.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, an unknown preset, or one that
            needs more than these four tensors: those take ``fastvae.ELBOLoss(preset=...)``.

    Examples:
        >>> x, mu, logvar = torch.rand(8, 10), torch.zeros(8, 3), torch.zeros(8, 3)
        >>> recon_x = torch.full_like(x, 0.5)
        >>> F.vae_loss(recon_x, x, mu, logvar) / 8  # no KL, and 10 pixels of log 2 nats each
        tensor(6.9315)
        >>> bce = torch.nn.functional.binary_cross_entropy(recon_x, x, reduction="sum")
        >>> kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())  # as PyTorch's examples write it
        >>> torch.allclose(F.vae_loss(recon_x, x, mu, logvar), bce + kl)
        True
    """
    convention = check_four_arguments(preset, recon_x, x)
    _checks.factor("beta", beta)
    _checks.posterior(mu, logvar, "logvar")
    if convention.likelihoods:
        x = flattened_like(x, recon_x)
        _checks.pair(recon_x, x, "recon_x", "x")
    kl = gaussian_kl(mu, logvar, **convention.gaussian.scale, reduction="sample")
    # torch takes no int beyond 64 bits.
    loss = kl_term(convention, kl, mu.shape[1:], beta=beta if isinstance(beta, Tensor) else float(beta))
    if not convention.likelihoods:
        return loss
    assert recon_x is not None
    assert x is not None
    name, factor = convention.likelihoods[0]
    reconstruction, _ = reconstruction_term(
        LIKELIHOODS[name], recon_x, x, factor=factor, reduction=convention.reconstruction
    )
    return reconstruction + loss
