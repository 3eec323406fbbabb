"""Log-density of a diagonal Gaussian, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastvae import _C, _outputs
from fastvae._cpu import _operands
from fastvae._options import Density


def log_normal(*options: Any) -> Tensor:
    density = Density(*options)
    z, shape = density.z, density.z.shape
    log_prob = _outputs.loss(z, density.reduction, density.batch_dims)
    _C.log_normal(
        shape,
        density.batch_dims,
        _operands.precise(z),
        torch.get_num_threads(),
        _operands.operand(z, shape),
        _operands.operand(density.mu, shape),
        _operands.operand(density.scale, shape),
        _operands.scale(density.form),
        _operands.loss(log_prob, z, density.reduction, density.batch_dims),
    )
    return log_prob


def log_normal_backward(grad_log_prob: Tensor, *options: Any) -> tuple[Tensor | None, ...]:
    density, wanted = Density(*options[:-1]), options[-1]
    z, shape = density.z, density.z.shape
    out = _outputs.gradients(wanted, z, density.mu, density.scale)
    gradients = _operands.Gradients(z)
    _C.log_normal_backward(
        shape,
        density.batch_dims,
        _operands.precise(z),
        torch.get_num_threads(),
        _operands.upstream(grad_log_prob, z, density.reduction, density.batch_dims),
        _operands.factor(z, density.reduction, density.batch_dims),
        _operands.operand(z, shape),
        _operands.operand(density.mu, shape),
        _operands.operand(density.scale, shape),
        _operands.scale(density.form),
        gradients.operand(out[0]),
        gradients.operand(out[1]),
        gradients.operand(out[2]),
    )
    gradients.finish()
    return out
