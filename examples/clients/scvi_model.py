"""scvi-tools' SCVI with its likelihood and KL fused: `loss` of a subclass of its module.

python examples/clients/scvi_model.py
"""

from collections.abc import Callable

import scvi
import torch
from scvi import REGISTRY_KEYS
from scvi.module import VAE
from scvi.module.base import LossOutput
from torch import Tensor

import fastvae.functional as F


class FusedVAE(VAE):
    """scvi-tools' VAE with ``gene_likelihood="zinb"`` or ``"nb"`` and the observed library size, its defaults."""

    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict[str, torch.distributions.Normal],
        generative_outputs: dict[str, torch.distributions.Distribution],
        kl_weight: float = 1.0,
    ) -> LossOutput:
        px, qz = generative_outputs["px"], inference_outputs["qz"]
        reconstruction = F.negative_binomial_nll(
            px.mu, tensors[REGISTRY_KEYS.X_KEY], px.theta, zero_inflation_logits=getattr(px, "zi_logits", None),
            reduction="sample",
        )  # fmt: skip
        kl = F.gaussian_kl(qz.loc, qz.scale, parameterization="std", reduction="sample")
        loss = (reconstruction + kl_weight * kl).mean()
        return LossOutput(loss=loss, reconstruction_loss=reconstruction, kl_local={"kl_divergence_z": kl})


class FusedSCVI(scvi.model.SCVI):
    """The model of it: ``FusedSCVI.setup_anndata(adata)``, ``FusedSCVI(adata).train()``."""

    _module_cls = FusedVAE


def step(*, fused: bool, genes: int = 2000, gene_likelihood: str = "zinb") -> Callable[[], float]:
    """A training step on 128 cells, 90% of whose counts are 0."""
    torch.manual_seed(0)
    module = (FusedVAE if fused else VAE)(genes, n_batch=1, gene_likelihood=gene_likelihood)
    counts = torch.poisson(torch.rand(128, genes) * 4) * (torch.rand(128, genes) < 0.1)
    tensors = {REGISTRY_KEYS.X_KEY: counts}
    tensors |= {key: torch.zeros(128, 1) for key in (REGISTRY_KEYS.BATCH_KEY, REGISTRY_KEYS.LABELS_KEY)}
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)

    def run() -> float:
        optimizer.zero_grad()
        *_, losses = module(tensors)
        losses.loss.backward()
        optimizer.step()
        value: float = losses.loss.item()
        return value

    return run


if __name__ == "__main__":
    for fused in (False, True):
        run = step(fused=fused)
        print("fused " if fused else "theirs", "loss", *(f"{run():.2f}" for _ in range(5)))
