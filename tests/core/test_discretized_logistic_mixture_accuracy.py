"""The mixture of discretized logistics three ways: every layout, dtype and reduction, and sharp scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

import fastvae
import fastvae.functional as F
from fastvae._options import REDUCTIONS
from tests.core.mixtures import as_floats, images, parameters
from tests.support.backends import on_each
from tests.support.covering import covering
from tests.support.oracle import Reduced, three_way
from tests.support.posteriors import FLOATS

AXES = {
    "channels": (1, 3),
    "mixtures": (1, 5),
    "bits": (4, 8, 12),
    "dtype": FLOATS,
    "target": ("bytes", "floats"),
    "reduction": REDUCTIONS,
    "layout": ("contiguous", "channels_last", "transposed", "sliced", "channels are last"),
    "pixels": ((3, 4, 8), (2, 16, 9), (5, 130), (2, 33, 65), (7,)),
}
TRITON = {**AXES, "mixtures": (1, 2), "pixels": ((3, 4, 8), (2, 16, 9), (7,))}


def exists(case: dict[str, Any]) -> bool:
    """Bytes have 8 bits at most, and two of the layouts are of images."""
    image = len(case.get("pixels", (1, 1, 1))) == 3 or case.get("layout") not in ("channels_last", "transposed")
    return image and not (case.get("target") == "bytes" and case.get("bits") == 12)


def laid_out(value: Tensor, layout: str) -> Tensor:
    """The same values with other strides."""
    if layout == "channels_last":
        return value.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        return value.mT.contiguous().mT
    if layout == "sliced":
        return torch.stack([value, value], -1)[..., 0]
    return value.movedim(1, -1).contiguous() if layout == "channels are last" else value


@pytest.mark.parametrize(
    ("backend", "case"), on_each(covering(2, AXES, exists), covering(2, TRITON, exists)[::3]), indirect=["backend"]
)
def test_three_ways(backend: str, case: dict[str, Any]) -> None:
    channels, mixtures, bits, pixels = case["channels"], case["mixtures"], case["bits"], case["pixels"]
    layout = case["layout"]
    options = {"num_mixtures": mixtures, "bits": bits, "dim": -1 if layout == "channels are last" else 1}
    draws = []
    for seed in range(2 if backend == "triton" else 3):
        image = images(channels, *pixels, seed=seed)
        target = image >> max(8 - bits, 0) if case["target"] == "bytes" else as_floats(image)
        # Sharp scales magnify the rounding of a pixel: then it is luck whose error is larger.
        params = parameters(channels, mixtures, *pixels, dtype=case["dtype"], seed=seed, sharp=False)
        draws.append({"params": laid_out(params, layout), "target": laid_out(target, layout)})

    def call(tensors: Mapping[str, Tensor], reduction: str) -> Tensor:
        return F.discretized_logistic_mixture_nll(tensors["params"], tensors["target"], reduction=reduction, **options)

    three_way(call, draws, ("params",), Reduced(torch.Size(pixels), case["reduction"]))


@pytest.mark.parametrize(("channels", "mixtures"), [(1, 1), (1, 4), (3, 1), (3, 5), (3, 10)])
def test_sharp_scales_cost_no_more_than_they_cost_torch(channels: int, mixtures: int) -> None:
    """There the rounding of a pixel is magnified: errors are compared as means over many."""
    pixels = (4, 64, 64)
    target, params = as_floats(images(channels, *pixels)), parameters(channels, mixtures, *pixels)

    def call(params: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        params = params.clone().requires_grad_()
        loss = F.discretized_logistic_mixture_nll(params, target, num_mixtures=mixtures, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), params)
        return loss.detach(), gradient

    with fastvae.use_backend("reference"):
        own, exact = call(params, target), call(params.double(), target.double())
    for mine, theirs, right in zip(call(params, target), own, exact, strict=True):
        assert (mine - right).square().mean().sqrt() <= 2 * (theirs - right).square().mean().sqrt()
