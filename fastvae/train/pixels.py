"""Images as bytes, and what their values mean. The data stays uint8 until a network needs it."""

from __future__ import annotations

import torch
from torch import Tensor


def fractions(images: Tensor) -> Tensor:
    """uint8 values as float32 in [0, 1]."""
    return images.to(torch.float32) / 255


def drawn(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Black and white pixels, each white with the probability that its grey value is, in uint8."""
    return torch.bernoulli(fractions(images), generator=generator).to(torch.uint8) * 255
