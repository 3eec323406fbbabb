"""Several samples of a batch as one larger batch, and back, for networks and callables that know one batch dimension.

A network's output may be a tensor or tuples, lists and dicts of them. A tensor carries the batch if its first dimension
has its size and it is no parameter; other tensors (a learned scale, say) and objects of other kinds pass unchanged. A
vector computed from parameters is told from one value a sample only by its size: as ``[1, n]`` it is never mistaken.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

T = TypeVar("T")


def fold(output: T, lead: torch.Size) -> T:
    """The tensors of ``[*lead, ...]`` in `output` as ``[lead.numel(), ...]``."""

    def folded(value: object) -> object:
        if isinstance(value, Tensor) and value.shape[: len(lead)] == lead:
            return value.flatten(0, len(lead) - 1)
        return value

    result: T = tree_map(folded, output)
    return result


def unfold(output: T, lead: torch.Size) -> T:
    """The tensors of ``[lead.numel(), ...]`` in `output` as ``[*lead, ...]``."""

    def unfolded(value: object) -> object:
        if not isinstance(value, Tensor) or isinstance(value, nn.Parameter) or value.shape[:1] != (math.prod(lead),):
            return value
        unflattened: Tensor = value.unflatten(0, lead)
        return unflattened

    result: T = tree_map(unfolded, output)
    return result
