"""Argument checks of the likelihoods that are more than a pointwise loss."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from fastvae import _checks

COUNTS: Final = (*_checks.FLOATS, torch.uint8, torch.uint16, torch.int16, torch.int32)


def negative_binomial_nll(
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    zero_inflation_logits: Tensor | None,
    weight: Tensor | None,
    reduction_name: str,
    sample_dims: int,
) -> None:
    _checks.tensor("mean", mean)
    _checks.tensor("target", target, COUNTS)
    _checks.same_shape("target", target, "mean", mean)
    _checks.same_device("target", target, "mean", mean)
    _checks.constant("target", target)  # a count has no derivative
    _checks.parameter("inverse_dispersion", inverse_dispersion, "mean", mean)
    if zero_inflation_logits is not None:
        _checks.parameter("zero_inflation_logits", zero_inflation_logits, "mean", mean, kinds="None or a torch.Tensor")
    if weight is not None:
        _checks.pointwise_weight(weight, "mean", mean)
    _checks.reduction(reduction_name)
    _checks.batch_dims(sample_dims, mean)


def discretized_logistic_mixture_nll(
    params: Tensor, target: Tensor, num_mixtures: int, channel_dim: int, bits: int, reduction_name: str
) -> int:
    """The dimension of the channels, counted from the front."""
    _checks.tensor("params", params)
    _checks.tensor("target", target, (*_checks.FLOATS, torch.uint8))
    if not _checks.whole(num_mixtures) or num_mixtures < 1:
        raise ValueError(f"num_mixtures: got {num_mixtures!r}; takes an int of at least 1")
    if not _checks.whole(bits) or not 1 <= bits <= 16:
        raise ValueError(f"bits: got {bits!r}; takes an int from 1 to 16")
    if target.dtype == torch.uint8 and bits > 8:
        raise ValueError(f"target: got dtype uint8 with bits={bits}; takes floating point in [-1, 1] above 8 bits")
    if (
        not _checks.whole(channel_dim)
        or not -params.dim() <= channel_dim < params.dim()
        or channel_dim % params.dim() == 0
    ):
        raise ValueError(
            f"dim: got {channel_dim!r}; takes a dimension of params, {list(params.shape)}, other than the batch"
        )
    channel_dim %= params.dim()
    pixels = [*params.shape[:channel_dim], *params.shape[channel_dim + 1 :]]
    channels = target.shape[channel_dim] if target.dim() == params.dim() else None
    if channels not in (1, 3) or [*target.shape[:channel_dim], *target.shape[channel_dim + 1 :]] != pixels:
        expected = [*params.shape[:channel_dim], "1 or 3", *params.shape[channel_dim + 1 :]]
        raise ValueError(
            f"target: got shape {list(target.shape)}; takes the shape of params with 1 or 3 channels along dim "
            f"{channel_dim}, [{', '.join(map(str, expected))}]"
        )
    needed = num_mixtures * (10 if channels == 3 else 3)
    if params.shape[channel_dim] != needed:
        raise ValueError(
            f"params: got size {params.shape[channel_dim]} along dim {channel_dim}; takes {needed}, "
            f"{needed // num_mixtures} for each of num_mixtures={num_mixtures} with a target of {channels} channels"
        )
    _checks.same_device("target", target, "params", params)
    _checks.constant("target", target)
    _checks.reduction(reduction_name)
    return channel_dim
