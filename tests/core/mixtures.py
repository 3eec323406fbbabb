"""Parameters and images for mixtures of discretized logistics."""

from __future__ import annotations

import torch
from torch import Tensor


def parameters(
    channels: int, mixtures: int, *pixels: int, dtype: torch.dtype = torch.float32, seed: int = 0, sharp: bool = True
) -> Tensor:
    """``[batch, channels of parameters, ...]``: means over all levels; scales around 1, or from sharp to wide."""
    generator = torch.Generator().manual_seed(seed)
    size = mixtures * (10 if channels == 3 else 3)
    values = torch.randn(pixels[0], size, *pixels[1:], generator=generator, dtype=torch.float64)
    rest = values[:, mixtures:].unflatten(1, (channels, -1, mixtures))
    rest[:, :, 0] *= 0.6
    rest[:, :, 1] = 1.5 * rest[:, :, 1] - 3 if sharp else 0.7 * rest[:, :, 1]
    return values.to(dtype)


def images(channels: int, *pixels: int, seed: int = 1) -> Tensor:
    """Bytes, an eighth of them at either end."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-32, 256 + 32, (pixels[0], channels, *pixels[1:]), generator=generator)
    return values.clamp(0, 255).to(torch.uint8)


def as_floats(image: Tensor, dtype: torch.dtype = torch.float32, bits: int = 8) -> Tensor:
    return image.to(dtype) / (2**bits - 1) * 2 - 1
