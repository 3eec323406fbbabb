"""Samples beside the test images: FID (Heusel et al. 2017) and KID (Binkowski et al. 2018), torchmetrics'.

As many samples as there are test images, means of p(x|z) for latents from the prior; a label-conditioned run is given
the labels of these. FID falls with the number of images, and compares runs at one number only; KID is unbiased, and of
more than a thousand images the mean over a hundred subsets of so many.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor

from fastvae import CVAE, VAE
from fastvae.train.data.conditions import Label
from fastvae.train.data.datasets import Split
from fastvae.train.models.build import conditioning
from fastvae.train.quality.asked import Asked
from fastvae.train.quality.features import Features, as_bytes
from fastvae.train.runs import random
from fastvae.train.settings.config import Config

_SUBSET: Final = 1000
_SUBSETS: Final = 100


@torch.no_grad()
def measured(model: VAE | CVAE, config: Config, test: Split, features: dict[str, Features]) -> dict[str, float]:
    """``fid``, and ``kid`` with the ``kid_standard_deviation`` over its subsets, as far as there are `features` for it.

    Args:
        model, config: of a run that draws images from a latent.
        test: its test images, two at least.
        features: networks by the metric.
    """
    model.eval()
    device, count = test.images.device, len(test.images)
    metrics = {name: _metric(name, network, count).to(device) for name, network in features.items()}
    # KID draws its subsets from torch's own generator.
    with random.separate(config.seed, device):
        for real, drawn in _pairs(model, config, test):
            for metric in metrics.values():
                metric.update(real, real=True)
                metric.update(drawn, real=False)
        found = {name: metric.compute() for name, metric in metrics.items()}
    result = {}
    if "fid" in found:
        result["fid"] = found["fid"].item()
    if "kid" in found:
        mean, deviation = found["kid"]
        result["kid"] = mean.item()
        if count > _SUBSET:
            result["kid_standard_deviation"] = deviation.item()
    return result


def _metric(name: str, features: Features, count: int) -> Any:
    """FID or KID of so many images."""
    if name == "fid":
        from torchmetrics.image.fid import FrechetInceptionDistance

        return FrechetInceptionDistance(features)
    from torchmetrics.image.kid import KernelInceptionDistance

    # It warns that it keeps all features, 16 kB an image.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        subsets = _SUBSETS if count > _SUBSET else 1
        return KernelInceptionDistance(features, subset_size=min(count, _SUBSET), subsets=subsets)


def _pairs(model: VAE | CVAE, config: Config, test: Split) -> Iterator[tuple[Tensor, Tensor]]:
    """Test images and as many samples, as bytes."""
    generator = torch.Generator(test.images.device).manual_seed(config.seed)
    for images, labels in test.batches():
        if isinstance(model, VAE):
            drawn = model.sample(len(images), generator=generator)
        else:
            conditioned = conditioning(config)
            assert isinstance(conditioned, Label)
            drawn = model.sample(conditioned.encode(labels), 1, generator=generator)[0]
        yield as_bytes(images), as_bytes(drawn)


def lines(result: dict[str, float], asked: Asked, count: int) -> Iterator[str]:
    """What `measured` found with so many test images, in words."""
    deviation = result.get("kid_standard_deviation")
    spread = "" if deviation is None else f" (standard deviation over subsets {deviation:.4f})"
    for name, file in asked.features.items():
        digits, more = (2, "") if name == "fid" else (4, spread)
        yield f"{name.upper()} {result[name]:.{digits}f}{more}, {count} samples, features of {file.name}"
