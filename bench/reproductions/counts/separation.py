"""How well cells of one type lie together."""

from __future__ import annotations

import torch
from torch import Tensor


def neighbours_of_own_type(points: Tensor, types: Tensor, *, neighbours: int = 15) -> float:
    """Of each point's nearest neighbours, the share that is of its own type, on average.

    Args:
        points: ``[count, dimensions]``.
        types: int64 ``[count]``.
        neighbours: how many are looked at; the point itself is none of them.
    """
    distances = torch.cdist(points, points)
    distances.fill_diagonal_(torch.inf)
    nearest = distances.topk(neighbours, largest=False).indices
    return float((types[nearest] == types[:, None]).to(torch.float64).mean())


def principal_components(counts: Tensor, count: int) -> Tensor:
    """What a study would look at without a model: log1p of counts per 10,000 molecules, ``[cells, count]``."""
    logs = torch.log1p(1e4 * counts / counts.sum(1, keepdim=True))
    return components(logs, count)


def components(points: Tensor, count: int) -> Tensor:
    """The first principal components, ``[points, count]``."""
    centred = points - points.mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    return torch.matmul(centred, directions[:, -count:].flip(1))
