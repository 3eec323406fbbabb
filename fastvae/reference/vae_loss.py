"""The presets of `fastvae.presets` under the signature everyone copies, in plain PyTorch."""

from __future__ import annotations

from torch import Tensor

from fastvae._layout import flattened_like
from fastvae._likelihoods import LIKELIHOODS
from fastvae.presets import Convention, check_four_arguments
from fastvae.reference import reconstruction
from fastvae.reference.reparameterize_kl import gaussian_kl


def vae_loss(
    recon_x: Tensor | None,
    x: Tensor | None,
    mu: Tensor,
    logvar: Tensor,
    *,
    preset: str = "pytorch-examples",
    beta: float | Tensor = 1.0,
) -> Tensor:
    rule = check_four_arguments(preset, recon_x, x)
    elements = gaussian_kl(mu, logvar, **rule.gaussian.scale, reduction="none")
    loss = beta * rule.kl_weight * _kl(rule, elements)
    if recon_x is None or x is None:
        return loss
    return _reconstruction(rule, recon_x, flattened_like(x, recon_x)) + loss


def _kl(rule: Convention, elements: Tensor) -> Tensor:
    if rule.kl == "mean":
        return elements.mean()
    if rule.kl == "positionmean":
        return elements.sum(1).mean()
    samples = elements.flatten(1).sum(1)
    if rule.free_bits:
        samples = samples.clamp(min=rule.free_bits * elements[0].numel())
    return samples.sum() if rule.kl == "sum" else samples.mean()


def _reconstruction(rule: Convention, recon_x: Tensor, x: Tensor) -> Tensor:
    assert rule.likelihoods
    name, factor = rule.likelihoods[0]
    likelihood = LIKELIHOODS[name]
    loss: Tensor = getattr(reconstruction, likelihood.loss)(recon_x, x, reduction="none")
    elements = factor * likelihood.factor * loss
    total = elements.sum()
    if rule.reconstruction == "mean":
        return elements.mean()
    if rule.reconstruction == "sum":
        return total
    batch = x.shape[0]
    return total / (batch * x.shape[1]) if rule.reconstruction == "channelmean" and x.dim() > 2 else total / batch
