"""Noise for the input of a conditional model: parts of the image are missing in training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class BlockOmission(nn.Module):
    """Block omission noise (Sohn, Lee & Yan 2015): one random rectangle of each image is set to 0 in training mode.

    For the input of a network, never for its target. In eval mode the input is returned as it is. The area is uniform
    up to `max_share` of the image, but for rounding to whole pixels; the shape runs from a bar as high as the image
    over squares to a bar as wide; every place where the rectangle fits is equally likely.

    The noise is drawn from torch's generator for the input's device and never read on the host: a CUDA graph replays
    with new rectangles.

    Args:
        max_share: the largest share of an image's area that is omitted, from 0 to 1. It is never exceeded.

    Raises:
        ValueError: a share out of its range.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> omission = fastvae.modules.BlockOmission(max_share=0.5)
        >>> images = torch.ones(100, 1, 8, 8)
        >>> share = (omission(images) == 0).float().mean((1, 2, 3))
        >>> bool(share.max() > 0.25), bool(share.max() <= 0.5)
        (True, True)
        >>> torch.equal(omission.eval()(images), images)
        True
    """

    def __init__(self, max_share: float = 0.4) -> None:
        super().__init__()
        if not 0.0 <= max_share <= 1.0:
            raise ValueError(f"max_share: got {max_share!r}; takes a number from 0 to 1")
        self.max_share = float(max_share)

    def forward(self, images: Tensor) -> Tensor:
        """The images, each without a rectangle in training mode; all channels lose the same one.

        Args:
            images: ``[batch, channels, height, width]`` of any dtype.

        Returns:
            The same shape and dtype.

        Raises:
            ValueError: images of another rank, in training mode.
        """
        if not self.training:
            return images
        if images.dim() != 4:
            raise ValueError(f"images: got shape {list(images.shape)}; takes [batch, channels, height, width]")
        batch, _, height, width = images.shape
        area, exponent, vertical, horizontal = torch.rand(4, batch, dtype=torch.float32, device=images.device)
        area = area * self.max_share
        max_pixels = math.floor(self.max_share * height * width)
        # Sides of area^t and area^(1 - t) of the image's, t uniform. Rounding up may make the product too large.
        rows = (height * area**exponent).ceil().long().clamp(max=max_pixels)
        columns = torch.minimum((width * area ** (1 - exponent)).ceil().long(), max_pixels // rows.clamp(min=1))
        omitted_rows = _interval(rows, vertical, height)[:, None, :, None]
        omitted_columns = _interval(columns, horizontal, width)[:, None, None, :]
        return images.masked_fill(omitted_rows & omitted_columns, 0)

    def extra_repr(self) -> str:
        """The module's option, for `repr`."""
        return f"max_share={self.max_share}"


def _interval(length: Tensor, position: Tensor, size: int) -> Tensor:
    """True on `length` consecutive places of `size`, ``[batch, size]``; `position`, in [0, 1), picks the start."""
    start = (position * (size - length + 1)).long()
    places = torch.arange(size, device=length.device)
    return (places >= start[:, None]) & (places < (start + length)[:, None])
