"""`reparameterize_kl`, packed and not, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastvae import _C, _outputs
from fastvae._cpu import _operands
from fastvae._layout import unpack
from fastvae._options import Posterior


def _address(seed: Tensor | None) -> int:
    return 0 if seed is None else seed.data_ptr()


def reparameterize_kl(mu: Tensor, scale: Tensor, *options: Any) -> tuple[Tensor | None, Tensor | None]:
    posterior = Posterior(*options)
    z, kl = _outputs.reparameterize_kl(mu, posterior)
    shape, num_samples = mu.shape, posterior.num_samples
    _C.reparameterize_kl(
        shape,
        posterior.batch_dims,
        _operands.precise(mu),
        torch.get_num_threads(),
        _operands.operand(mu, shape),
        _operands.operand(scale, shape),
        _operands.operand(posterior.prior_mu, shape),
        _operands.operand(posterior.prior_scale, shape),
        _operands.samples(posterior.eps, shape, num_samples),
        _address(posterior.seed),
        num_samples or 1,
        _operands.scale(posterior.form),
        _operands.samples(z, shape, num_samples),
        None if kl is None else _operands.loss(kl, mu, posterior.reduction or "", posterior.batch_dims),
    )
    return z, kl


def reparameterize_kl_backward(
    grad_z: Tensor | None, grad_kl: Tensor | None, mu: Tensor, scale: Tensor, *options: Any
) -> tuple[Tensor | None, ...]:
    posterior, wanted = Posterior(*options[:-1]), options[-1]
    gradients = _outputs.gradients(wanted, mu, scale, posterior.prior_mu, posterior.prior_scale)
    _differentiate(grad_z, grad_kl, mu, scale, posterior, gradients)
    return gradients


def _differentiate(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    posterior: Posterior,
    out: Sequence[Tensor | None],
) -> None:
    """Fill the gradients of mu, scale, prior_mu and prior_scale; None is not wanted."""
    shape, num_samples = mu.shape, posterior.num_samples
    gradients = _operands.Gradients(mu)
    _C.reparameterize_kl_backward(
        shape,
        posterior.batch_dims,
        _operands.precise(mu),
        torch.get_num_threads(),
        _operands.samples(grad_z, shape, num_samples),
        _operands.upstream(grad_kl, mu, posterior.reduction, posterior.batch_dims),
        _operands.factor(mu, posterior.reduction, posterior.batch_dims),
        _operands.operand(mu, shape),
        _operands.operand(scale, shape),
        _operands.operand(posterior.prior_mu, shape),
        _operands.operand(posterior.prior_scale, shape),
        _operands.samples(posterior.eps, shape, num_samples),
        _address(posterior.seed),
        num_samples or 1,
        _operands.scale(posterior.form),
        gradients.operand(out[0]),
        gradients.operand(out[1]),
        gradients.operand(out[2]),
        gradients.operand(out[3]),
    )
    gradients.finish()


def reparameterize_kl_packed(
    moments: Tensor, dim: int, interleaved: bool, *options: Any
) -> tuple[Tensor | None, Tensor | None]:
    return reparameterize_kl(*unpack(moments, dim, interleaved), *options)


def reparameterize_kl_packed_backward(
    grad_z: Tensor | None, grad_kl: Tensor | None, moments: Tensor, dim: int, interleaved: bool, *options: Any
) -> tuple[Tensor | None, ...]:
    posterior, wanted = Posterior(*options[:-1]), options[-1]
    gradients = _outputs.gradients(wanted, moments, posterior.prior_mu, posterior.prior_scale)
    packed = gradients[0]
    grad_moments = (None, None) if packed is None else unpack(packed, dim, interleaved)
    halves = unpack(moments, dim, interleaved)
    _differentiate(grad_z, grad_kl, *halves, posterior, (*grad_moments, *gradients[1:]))
    return gradients
