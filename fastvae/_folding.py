"""Several samples of a batch as one larger batch, and back, for networks and callables that know one batch dimension.

A network's output may be a tensor or tuples, lists and dicts of them. A tensor carries the batch if its first dimension
has its size and it is no parameter; other tensors (a learned scale, say) and objects of other kinds pass unchanged. A
vector computed from parameters is told from one value a sample only by its size: as ``[1, n]`` it is never mistaken.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map


def fold(output: Any, lead: torch.Size) -> Any:
    """The tensors of ``[*lead, ...]`` in `output` as ``[lead.numel(), ...]``."""

    def folded(value: Any) -> Any:
        batched = isinstance(value, Tensor) and value.shape[: len(lead)] == lead
        return value.flatten(0, len(lead) - 1) if batched else value

    return tree_map(folded, output)


def unfold(output: Any, lead: torch.Size) -> Any:
    """The tensors of ``[lead.numel(), ...]`` in `output` as ``[*lead, ...]``."""

    def unfolded(value: Any) -> Any:
        carries = isinstance(value, Tensor) and not isinstance(value, nn.Parameter)
        batched = carries and value.shape[:1] == (lead.numel(),)
        return value.unflatten(0, lead) if batched else value

    return tree_map(unfolded, output)
