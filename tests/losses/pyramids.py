"""Images at several sizes, and MultiScale in plain PyTorch."""

from typing import Any

import torch
from torch import Tensor

from fastvae.losses import MultiScale
from tests.losses.formulas import LOG_SCALE, NLL

# A few hundred float64 terms and two small matrix products, a few roundings of 2.2e-16 each.
EXACT = {"rtol": 1e-11, "atol": 1e-12}


BATCH, SIDE, LATENT = 3, 8, 2


SIDES = (2, 4, 8)


PIXELS = [side * side for side in SIDES]


def pyramid(*samples: int, height: int = SIDE, width: int = SIDE) -> tuple[Tensor, ...]:
    """Predictions of two channels in (0, 1), which every likelihood takes."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.rand(
            *samples, BATCH, 2, height // factor, width // factor, dtype=torch.float64, generator=generator
        ).requires_grad_()
        for factor in (4, 2, 1)
    )


def image(channels: int = 2, height: int = SIDE, width: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(BATCH, channels, height, width, dtype=torch.float64, generator=generator)


def averaged(target: Tensor, factor: int) -> Tensor:
    """Averages over blocks, by reshaping."""
    *lead, height, width = target.shape
    return target.reshape(*lead, height // factor, factor, width // factor, factor).mean((-3, -1))


def by_hand(prediction: tuple[Tensor, ...], target: Tensor, likelihood: str = "bernoulli") -> Tensor:
    """The sum over scales, one value a sample; the target broadcasts to several samples."""
    return sum(
        NLL[likelihood](part, averaged(target, target.shape[-2] // part.shape[-2]).expand_as(part)).sum((-3, -2, -1))
        for part in prediction
    )


def multiscale(likelihood: str = "bernoulli", **options: Any) -> MultiScale:
    module = MultiScale(likelihood, **options).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(LOG_SCALE)
    return module


def assert_same(ours: Tensor, theirs: Tensor, leaves: Any) -> None:
    leaves = list(leaves)
    torch.testing.assert_close(ours, theirs, **EXACT)
    upstream = torch.linspace(0.5, 1.5, ours.numel(), dtype=torch.float64).reshape(ours.shape)
    got, expected = (torch.autograd.grad(loss, leaves, upstream) for loss in (ours, theirs))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)
