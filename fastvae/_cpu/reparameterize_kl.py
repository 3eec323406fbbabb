"""`reparameterize_kl`, packed and not, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastvae import _C, _outputs
from fastvae._layout import unpack
from fastvae._options import Posterior


def reparameterize_kl(mu: Tensor, scale: Tensor, *options: Any) -> tuple[Tensor | None, Tensor | None]:
    outputs = _outputs.reparameterize_kl(mu, Posterior(*options))
    _C.reparameterize_kl(mu, scale, options, outputs, torch.get_num_threads())
    return outputs


def reparameterize_kl_backward(
    grad_z: Tensor | None, grad_kl: Tensor | None, mu: Tensor, scale: Tensor, *args: Any
) -> tuple[Tensor | None, ...]:
    options, wanted = args[:-1], args[-1]
    gradients = _outputs.gradients(wanted, mu, scale, *options[:2])
    _C.reparameterize_kl_backward(grad_z, grad_kl, mu, scale, options, gradients, torch.get_num_threads())
    return gradients


def reparameterize_kl_packed(
    moments: Tensor, dim: int, interleaved: bool, *options: Any
) -> tuple[Tensor | None, Tensor | None]:
    outputs = _outputs.reparameterize_kl(unpack(moments, dim, interleaved)[0], Posterior(*options))
    _C.reparameterize_kl_packed(moments, dim, interleaved, options, outputs, torch.get_num_threads())
    return outputs


def reparameterize_kl_packed_backward(
    grad_z: Tensor | None, grad_kl: Tensor | None, moments: Tensor, dim: int, interleaved: bool, *args: Any
) -> tuple[Tensor | None, ...]:
    options, wanted = args[:-1], args[-1]
    gradients = _outputs.gradients(wanted, moments, *options[:2])
    _C.reparameterize_kl_packed_backward(
        grad_z, grad_kl, moments, dim, interleaved, options, gradients, torch.get_num_threads()
    )
    return gradients
