"""Numbers in any unit, as networks are good at them: about 0, of a deviation of 1."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Units(nn.Module):
    """The mean and the deviation of each feature, of the training data, which is not known at first.

    Args:
        features: how many.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))


class Standardized(Units):
    """The first layer of an encoder: from the units of the data."""

    def forward(self, values: Tensor) -> Tensor:
        """``[batch, features]`` to the same shape."""
        return (values - self.centre) / self.spread


class Restored(Units):
    """The last layer of a decoder: to the units of the data."""

    def forward(self, values: Tensor) -> Tensor:
        """``[batch, features]`` to the same shape."""
        return values * self.spread + self.centre


def begin(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Measure the units of a model in ``[batch, features]`` each; a feature that never changes has a spread of 1."""
    found = [module for module in model.modules() if isinstance(module, Units)]
    if not found:
        return
    count, centre, squares = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for batch in batches:
        # Chan, Golub & LeVeque (1983): no difference of large sums, whatever the offset.
        values = batch.double().cpu()
        mean, size = values.mean(0), len(values)
        shift = mean - centre
        squares = squares + (values - mean).square().sum(0) + shift.square() * (count * size / (count + size))
        centre = centre + shift * (size / (count + size))
        count += size
    spread = (squares / count).sqrt()
    # In float32: what is less than its precision at such a value is no change.
    spread = torch.where(spread > centre.abs() * torch.finfo(torch.float32).eps, spread, 1.0)
    for module in found:
        module.centre.copy_(centre)
        module.spread.copy_(spread)
