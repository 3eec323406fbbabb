"""Reparameterized samples and Gaussian KL on the device; backward regenerates eps from the seed."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._layout import unpack
from fastvae._options import ScaleForm
from fastvae._triton import _launch, _tile, noise, reduce, scale_forms

_OPTIONS = {"enable_fp_fusion": False}
"""The noise contract forbids contraction."""


@triton.jit
def _draw(eps, eps_step, seed, logical, count, k, tiling, at, dtype: tl.constexpr):
    """eps of sample number k: the caller's, or the seed's."""
    if seed is None:
        return _tile.load_at(eps, k * eps_step, tiling, at, dtype)
    else:
        return noise.normal(tl.load(seed), logical, count, k, tiling, at).to(dtype)


@triton.jit
def _distance(mu, mu_p, raw_p, form, tiling, at, dtype: tl.constexpr):
    """((mu - mu_p) / sigma_p, 1 / sigma_p)."""
    delta = _tile.load(mu, tiling, at, dtype)
    if mu_p is None:
        return delta, delta * 0.0 + 1.0
    else:
        inverse = scale_forms.inverse_sigma(raw_p, form)
        return (delta - _tile.load(mu_p, tiling, at, dtype)) * inverse, inverse


@triton.jit
def _clamped(scale, form, tiling, at, dtype: tl.constexpr):
    if scale is None:
        return None
    else:
        return scale_forms.clamp(_tile.load(scale, tiling, at, dtype), form)


@triton.jit
def _forward(
    mu, scale, mu_p, scale_p, eps, seed, z, kl, partials, tiling, logical, count, samples, eps_step, z_step, form,
    dtype: tl.constexpr,
):  # fmt: skip
    at = _tile.locate(tiling)
    raw = _clamped(scale, form, tiling, at, dtype)
    if z is not None:
        mean = _tile.load(mu, tiling, at, dtype)
        sigma = scale_forms.sigma(raw, form)
        k = tl.full((), 0, tl.int64)
        while k < samples:
            draw = _draw(eps, eps_step, seed, logical, count, k, tiling, at, dtype)
            _tile.store_at(z, k * z_step, tiling, at, mean + sigma * draw)
            k += 1
    if kl is not None or partials is not None:
        raw_p = _clamped(scale_p, form, tiling, at, dtype)
        distance, _ = _distance(mu, mu_p, raw_p, form, tiling, at, dtype)
        _, deficit = scale_forms.variance_ratio(raw, raw_p, form)
        value = 0.5 * (distance * distance + deficit)
        if kl is not None:
            _tile.store(kl, tiling, at, value)
        else:
            _tile.store_sums(partials, tiling, at, value)


@triton.jit(do_not_specialize=["divisor"])
def _backward(
    grad_z, grad_kl, mu, scale, mu_p, scale_p, eps, seed, grad_mu, grad_scale, grad_mu_p, grad_scale_p, tiling,
    logical, count, samples, eps_step, z_step, divisor, form, dtype: tl.constexpr,
):  # fmt: skip
    at = _tile.locate(tiling)
    unclamped = _tile.load(scale, tiling, at, dtype)
    raw = scale_forms.clamp(unclamped, form)
    to_mu = unclamped * 0.0
    to_scale = unclamped * 0.0
    if grad_z is not None:
        along_eps = unclamped * 0.0
        k = tl.full((), 0, tl.int64)
        while k < samples:
            gradient = _tile.load_at(grad_z, k * z_step, tiling, at, dtype)
            to_mu += gradient
            if grad_scale is not None:
                along_eps += gradient * _draw(eps, eps_step, seed, logical, count, k, tiling, at, dtype)
            k += 1
        if grad_scale is not None:
            to_scale = along_eps * scale_forms.sigma_slope(raw, form)
    if grad_kl is not None:
        gradient = _tile.load(grad_kl, tiling, at, dtype) * (1.0 / divisor.to(tl.float64)).to(dtype)
        raw_p = _clamped(scale_p, form, tiling, at, dtype)
        distance, inverse = _distance(mu, mu_p, raw_p, form, tiling, at, dtype)
        excess, _ = scale_forms.variance_ratio(raw, raw_p, form)
        along_mu = gradient * distance * inverse
        to_mu += along_mu
        to_scale += gradient * (0.5 * excess) * scale_forms.log_variance_slope(raw, form)
        if grad_mu_p is not None:
            _tile.store(grad_mu_p, tiling, at, -along_mu)
        if grad_scale_p is not None:
            along_p = -0.5 * (distance * distance + excess) * scale_forms.log_variance_slope(raw_p, form)
            along_p = scale_forms.through_clamp(gradient * along_p, _tile.load(scale_p, tiling, at, dtype), form)
            _tile.store(grad_scale_p, tiling, at, along_p)
    if grad_mu is not None:
        _tile.store(grad_mu, tiling, at, to_mu)
    if grad_scale is not None:
        _tile.store(grad_scale, tiling, at, scale_forms.through_clamp(to_scale, unclamped, form))


def _first_sample(value: Tensor | None, num_samples: int | None) -> tuple[Tensor | None, int]:
    """The first of K samples, and the elements from one to the next."""
    if value is None or num_samples is None:
        return value, 0
    return value[0], value.stride(0)


def _expanded(value: Tensor | None, shape: torch.Size) -> Tensor | None:
    return None if value is None else value.expand(shape)


def reparameterize_kl(
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str | None,
    batch_dims: int,
) -> tuple[Tensor, Tensor]:
    """(z, kl); z is empty without noise, kl without a reduction."""
    noisy = eps is not None or seed is not None
    z, kl = _outputs.reparameterize_kl(mu, noisy, num_samples, reduction, batch_dims)
    if mu.numel() == 0:
        if reduction not in (None, "none"):
            reduce.of_nothing(kl, reduction, mu.shape[:batch_dims].numel())
        return z, kl
    eps_first, eps_step = _first_sample(eps, num_samples)
    z_first, z_step = _first_sample(z if noisy else None, num_samples)
    plan, operands = _launch.operands(
        (
            mu,
            scale,
            _expanded(prior_mu, mu.shape),
            _expanded(prior_scale, mu.shape),
            eps_first,
            z_first,
            kl if reduction == "none" else None,
        ),
        batch_dims if reduction == "sample" else 0,
        logical=True,
    )
    *inputs, z_operand, kl_operand = operands
    partials = None if reduction in (None, "none") else reduce.partial_sums(plan, mu)
    _launch.run(
        _forward,
        plan.programs,
        mu,
        *inputs,
        seed,
        z_operand,
        kl_operand,
        partials,
        plan.tiling,
        plan.steps[-1],
        mu.numel(),
        num_samples or 1,
        eps_step,
        z_step,
        scale_forms.compile_time(ScaleForm(parameterization, low, high, min_std, min_var)),
        dtype=_launch.kernel_dtype(mu),
        **_OPTIONS,
    )
    if partials is not None and reduction is not None:
        reduce.finish(partials, kl, reduction, mu.shape, batch_dims)
    return z, kl


def _write_gradients(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    prior: tuple[Tensor | None, Tensor | None],
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    form: ScaleForm,
    reduction: str | None,
    batch_dims: int,
    wanted: tuple[bool, bool],
    gradients: tuple[Tensor | None, Tensor | None, Tensor, Tensor],
) -> None:
    """Fill in the gradients of mu, scale (None where not wanted) and of the prior where `wanted`."""
    written = [
        _launch.full_gradient(operand, mu.shape, want, gradient)
        for operand, want, gradient in zip(prior, wanted, gradients[2:], strict=True)
    ]
    if grad_kl is None:
        for gradient, want in zip(gradients[2:], wanted, strict=True):
            if want:
                gradient.zero_()
        written = [None, None]
    if mu.numel():
        grad_z_first, z_step = _first_sample(grad_z, num_samples)
        eps_first, eps_step = _first_sample(eps, num_samples)
        if grad_kl is not None:
            grad_kl = _launch.upstream(grad_kl, mu.shape, reduction or "none", batch_dims)
        plan, (mu_, scale_, *rest) = _launch.operands(
            (mu, scale, grad_z_first, grad_kl, *(_expanded(value, mu.shape) for value in prior), eps_first,
             gradients[0], gradients[1], *written),
            0,
            logical=True,
        )  # fmt: skip
        _launch.run(
            _backward,
            plan.programs,
            mu,
            *rest[:2],
            mu_,
            scale_,
            *rest[2:5],
            seed,
            *rest[5:],
            plan.tiling,
            plan.steps[-1],
            mu.numel(),
            num_samples or 1,
            eps_step,
            z_step,
            _launch.divisor(reduction or "none", mu.shape, batch_dims),
            scale_forms.compile_time(form),
            dtype=_launch.kernel_dtype(mu),
            **_OPTIONS,
        )
    for value, gradient in zip(written, gradients[2:], strict=True):
        _launch.narrow(value, gradient)


def reparameterize_kl_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str | None,
    batch_dims: int,
    wanted: list[bool],
) -> tuple[Tensor, ...]:
    """The gradients of mu, scale, prior_mu and prior_scale, empty where not `wanted`."""
    gradients = _outputs.gradients(wanted, mu, scale, prior_mu, prior_scale)
    to_mu, to_scale = (gradient if want else None for gradient, want in zip(gradients[:2], wanted[:2], strict=True))
    _write_gradients(
        grad_z,
        grad_kl,
        mu,
        scale,
        (prior_mu, prior_scale),
        eps,
        seed,
        num_samples,
        ScaleForm(parameterization, low, high, min_std, min_var),
        reduction,
        batch_dims,
        (wanted[2], wanted[3]),
        (to_mu, to_scale, gradients[2], gradients[3]),
    )
    return gradients


def reparameterize_kl_packed(
    moments: Tensor, dim: int, interleaved: bool, *posterior: Any
) -> tuple[Tensor, Tensor]:
    """`reparameterize_kl` of the two views into `moments`."""
    return reparameterize_kl(*unpack(moments, dim, interleaved), *posterior)


def reparameterize_kl_packed_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    moments: Tensor,
    dim: int,
    interleaved: bool,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    num_samples: int | None,
    parameterization: str,
    low: float,
    high: float,
    min_std: float,
    min_var: float,
    reduction: str | None,
    batch_dims: int,
    wanted: list[bool],
) -> tuple[Tensor, ...]:
    """The gradients of moments, packed as they are, and of the prior, empty where not `wanted`."""
    gradients = _outputs.gradients(wanted, moments, prior_mu, prior_scale)
    mu, scale = unpack(moments, dim, interleaved)
    to_mu, to_scale = unpack(gradients[0], dim, interleaved) if wanted[0] else (None, None)
    _write_gradients(
        grad_z,
        grad_kl,
        mu,
        scale,
        (prior_mu, prior_scale),
        eps,
        seed,
        num_samples,
        ScaleForm(parameterization, low, high, min_std, min_var),
        reduction,
        batch_dims,
        (wanted[1], wanted[2]),
        (to_mu, to_scale, gradients[1], gradients[2]),
    )
    return gradients
