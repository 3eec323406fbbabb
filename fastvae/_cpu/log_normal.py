"""Log-density of a diagonal Gaussian, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastvae import _C, _outputs
from fastvae._cpu import _operands
from fastvae._options import ScaleForm


def log_normal(
    z: Tensor,
    mu: Tensor | None,
    scale: Tensor | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str,
    batch_dims: int,
) -> Tensor:
    log_prob = _outputs.loss(z, reduction, batch_dims)
    shape = z.shape
    _C.log_normal(
        shape,
        batch_dims,
        _operands.precise(z),
        torch.get_num_threads(),
        _operands.operand(z, shape),
        _operands.operand(mu, shape),
        _operands.operand(scale, shape),
        _operands.scale(ScaleForm(parameterization, low, high, min_std, min_var)),
        _operands.loss(log_prob, z, reduction, batch_dims),
    )
    return log_prob


def log_normal_backward(
    grad_log_prob: Tensor,
    z: Tensor,
    mu: Tensor | None,
    scale: Tensor | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str,
    batch_dims: int,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    shape = z.shape
    out = _outputs.gradients(wanted, z, mu, scale)
    gradients = _operands.Gradients(z)
    _C.log_normal_backward(
        shape,
        batch_dims,
        _operands.precise(z),
        torch.get_num_threads(),
        _operands.upstream(grad_log_prob, z, reduction, batch_dims),
        _operands.factor(z, reduction, batch_dims),
        _operands.operand(z, shape),
        _operands.operand(mu, shape),
        _operands.operand(scale, shape),
        _operands.scale(ScaleForm(parameterization, low, high, min_std, min_var)),
        gradients.operand(out[0]),
        gradients.operand(out[1]),
        gradients.operand(out[2]),
    )
    gradients.finish()
    return out
