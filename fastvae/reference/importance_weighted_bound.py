"""The importance-weighted bound of Burda et al. 2016, equation 8: log (1/K) sum_k w_k."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastvae.reference import _common


def importance_weighted_bound(log_w: Tensor, *, dim: int = 0) -> Tensor:
    return torch.logsumexp(_common.upcast(log_w, log_w), dim) - math.log(log_w.shape[dim])
