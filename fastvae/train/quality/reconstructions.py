"""Reconstructions beside their originals: PSNR and SSIM.

PSNR has a peak of 1, white, and is taken of the mean squared error over all values of all images: -10 log10 MSE, in dB.
SSIM is torchmetrics' (Wang et al. 2004: a Gaussian window of 11 pixels and deviation 1.5, edges mirrored), averaged
over images. A reconstruction is the mean of p(x|z) at the posterior's mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fastvae import CVAE, VAE
from fastvae.networks import fractions
from fastvae.train.data.datasets import Split
from fastvae.train.models.build import conditioning
from fastvae.train.processes import group
from fastvae.train.settings.config import Config


@torch.no_grad()
def measured(model: VAE | CVAE, config: Config, test: Split, *, ssim: bool) -> dict[str, float]:
    """``psnr`` in dB and, if asked for, ``ssim``; of completed quadrants, the PSNR of what was not given.

    Args:
        model, config: of a run with images and a posterior.
        test: its test images.
        ssim: measure it.
    """
    model.eval()
    similarity = _similarity() if ssim else None
    # Of squared errors, values and similarities.
    sums = torch.zeros(3, dtype=torch.float64, device=test.images.device)
    for images, labels in test.batches():
        share = group.share(len(labels))
        pair = _reconstructed(model, config, images[share.rows], labels[share.rows])
        target, mean = (values[: share.size].double() for values in pair)
        sums[0] += (mean - target).square().sum()
        sums[1] += target.numel()
        if similarity is not None and share.size:
            sums[2] += similarity(mean, target).sum()
    group.add_up(sums)
    squares, values, similarities = sums.tolist()
    error = squares / values
    found = {"psnr": -10 * math.log10(error) if error else math.inf}
    return found if similarity is None else {**found, "ssim": similarities / len(test.images)}


def line(result: dict[str, float]) -> str:
    """What `measured` found, in words."""
    similarity = f", SSIM {result['ssim']:.4f}" if "ssim" in result else ""
    return f"reconstruction PSNR {result['psnr']:.2f} dB{similarity}"


def _similarity() -> Callable[[Tensor, Tensor], Any]:
    """SSIM of each image."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    return partial(structural_similarity_index_measure, data_range=1.0, reduction="none")


def _reconstructed(model: VAE | CVAE, config: Config, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """A target, in [0, 1], and what the model makes of it."""
    if isinstance(model, VAE):
        target, mean = images, model.reconstruct(images)
    else:
        condition, target = conditioning(config).to(images.device)(images, labels)
        mean = model.decode(model.encode(target, condition).mean, condition, mean=True)
    return (fractions(target) if target.dtype == torch.uint8 else target), mean
