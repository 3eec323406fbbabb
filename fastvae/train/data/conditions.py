"""From stored images and their labels to what a conditional model takes: a condition and a target.

What makes the two of an image is called a conditioning; the condition is the tensor.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from fastvae.networks import fractions


class ConditionalBatch(NamedTuple):
    """A batch of a conditional model.

    Attributes:
        condition: float32, ``[batch, ...]``.
        target: uint8, ``[batch, 1, ...]``.
    """

    condition: Tensor
    target: Tensor


class Label(nn.Module):
    """The label; the target is the whole image.

    Args:
        shape: of an image, ``(channels, height, width)``.
        count: of different labels.
        encoding: ``"one_hot"``, as many numbers as there are labels, of which the label's own is 1 and the others 0; or
            ``"number"``, the label itself. A network can hardly tell 4 from 5 by their size: given a number, it leaves
            most of the label to the latent, and what it draws for a label is often another digit.
    """

    def __init__(self, shape: tuple[int, ...], count: int, encoding: str) -> None:
        super().__init__()
        self.count = count
        self.one_hot = encoding == "one_hot"
        self.condition_width = count if self.one_hot else 1
        self.target_shape = shape

    def forward(self, images: Tensor, labels: Tensor) -> ConditionalBatch:
        """Images ``[batch, channels, height, width]`` and labels ``[batch]``."""
        return ConditionalBatch(self.encode(labels), images)

    def encode(self, labels: Tensor) -> Tensor:
        """The condition of int64 labels, ``[batch]``: ``[batch, condition_width]`` float32."""
        codes = nn.functional.one_hot(labels, self.count) if self.one_hot else labels[:, None]
        return codes.to(torch.float32)

    def whole(self, condition: Tensor, target: Tensor) -> Tensor:
        """The target, which is an image already."""
        return target


# As rows and columns of halves: lower left, upper left, upper right (Sohn et al. 2015, figure 2).
_ORDER: Final = ((1, 0), (0, 0), (0, 1))


class Quadrants(nn.Module):
    """The first `count` quadrants, clockwise from the lower left; the target is the pixels of the others.

    Args:
        size: height and width of the images.
        count: how many quadrants are known, 1 to 3.

    Attributes:
        known, unknown: indices of the pixels of the condition and of the target, in row-major order.
    """

    known: Tensor
    unknown: Tensor

    def __init__(self, size: tuple[int, int], count: int) -> None:
        super().__init__()
        height, width = size
        known = torch.zeros(size, dtype=torch.bool)
        for row, column in _ORDER[:count]:
            top, left = row * (height // 2), column * (width // 2)
            known[top : height if row else height // 2, left : width if column else width // 2] = True
        flat = known.flatten()
        self.size = size
        # Not saved with a model: they follow from its config.
        self.register_buffer("known", flat.nonzero()[:, 0], persistent=False)
        self.register_buffer("unknown", (~flat).nonzero()[:, 0], persistent=False)
        self.condition_width = len(self.known)
        self.target_shape = (1, len(self.unknown))

    def forward(self, images: Tensor, labels: Tensor) -> ConditionalBatch:
        """Images ``[batch, 1, height, width]`` to ``[batch, known pixels]`` and ``[batch, 1, unknown pixels]``."""
        pixels = images.flatten(1)
        return ConditionalBatch(fractions(pixels[:, self.known]), pixels[:, None, self.unknown])

    def whole(self, condition: Tensor, target: Tensor) -> Tensor:
        """Both put together as images, ``[batch, 1, height, width]`` float32 in [0, 1]."""
        pixels = condition.new_empty((len(condition), len(self.known) + len(self.unknown)))
        pixels[:, self.known] = condition
        pixels[:, self.unknown] = target[:, 0].to(condition.dtype)
        return pixels.reshape(-1, 1, *self.size)


Conditioning = Label | Quadrants


def create(name: str, shape: tuple[int, ...], labels: int, *, label_encoding: str, quadrants: int) -> Conditioning:
    """The conditioning called `name`, with the setting that it has.

    Args:
        name: ``"label"`` or ``"quadrants"``.
        shape: of an image, ``(channels, height, width)``; of one channel for quadrants.
        labels: how many different ones there are.
        label_encoding: see `Label`.
        quadrants: how many are known.
    """
    if name == "label":
        return Label(shape, labels, label_encoding)
    _, height, width = shape
    return Quadrants((height, width), quadrants)
