"""Networks that are given a condition beside their input: the label of an image, as numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CHANNELS = 8


class Conditioned(nn.Module):
    """A network over its input and a condition ``[batch, width]``, as the two networks of a `fastvae.CVAE` are called.

    Args:
        first: what makes numbers of the input, before the condition comes beside them, such as `Pixels`.
        network: of both.
        width: of the condition.
        features: whether both are flattened and joined. If not, the condition becomes `beside` channels, by a linear
            layer (an embedding, for one-hot labels), each the same number everywhere in the feature map.

    Examples:
        >>> layers = torch.nn.Sequential(torch.nn.Linear(784 + 10, 40))
        >>> network = fastvae.networks.Conditioned(fastvae.networks.Pixels(), layers, 10, features=True)
        >>> network(torch.zeros(2, 784, dtype=torch.uint8), torch.zeros(2, 10)).shape
        torch.Size([2, 40])
    """

    def __init__(self, first: nn.Module, network: nn.Sequential, width: int, *, features: bool) -> None:
        super().__init__()
        self.first = first
        self.embedding = nn.Flatten() if features else nn.Linear(width, beside(width, features=False))
        self.network = network
        self.features = features

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """What the network makes of an input and its condition.

        Args:
            x: ``[batch, ...]``.
            condition: ``[batch, width]``.

        Returns:
            ``[batch, ...]``.
        """
        numbers, given = self.first(x), self.embedding(condition)
        if self.features:
            return self._of(numbers.flatten(1), given)
        return self._of(numbers, given[:, :, None, None].expand(-1, -1, *numbers.shape[2:]))

    def _of(self, *parts: Tensor) -> Tensor:
        result: Tensor = self.network(torch.cat(parts, 1))
        return result


def beside(width: int, *, features: bool) -> int:
    """How many features, or channels, of a network's input a condition of so many numbers takes: 8 channels at most."""
    return width if features else min(width, _CHANNELS)
