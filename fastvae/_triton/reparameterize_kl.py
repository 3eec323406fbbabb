"""Reparameterized samples and Gaussian KL on the device; backward regenerates eps from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._options import PosteriorOptions
from fastvae._triton import _operands, _tile, noise, reduce, scale_forms, scale_ratios
from fastvae._triton._launch import Kernel
from fastvae._triton.elementary import constant_like


@triton.jit
def _draw(eps, eps_step, seed, logical, stream, k, tiling, at, dtype: tl.constexpr):
    """eps of sample number k: the caller's, or the seed's."""
    if eps is not None:
        return _tile.load_at(eps, k * eps_step, tiling, at, dtype)
    else:
        return noise.normal(seed, logical, stream, k, tiling, at).to(dtype)


@triton.jit
def _offset(mean, mu_p, tiling, at, dtype: tl.constexpr):
    """mu - mu_p."""
    if mu_p is not None:
        mean = mean - _tile.load(mu_p, tiling, at, dtype)
    return mean


@triton.jit
def _seed(at, value):
    """The seed: read on the device, or given by value."""
    if at is not None:
        value = tl.load(at)
    return value.to(tl.int64)


@triton.jit(do_not_specialize=["seed", "factor"])
def _forward(
    mu, scale, mu_p, scale_p, eps, z, kl, per_sample, total, partials, counters, seed_at, seed: tl.int64, tiling,
    logical, stream, samples, eps_step, z_step, factor, form, dtype: tl.constexpr,
):  # fmt: skip
    seed = _seed(seed_at, seed)
    at = _tile.locate(tiling)
    mean, unclamped = _tile.load_both(mu, scale, tiling, at, dtype)
    raw = scale_forms.clamp(unclamped, form)
    if z is not None:
        sigma = scale_forms.sigma(raw, form)
        k = tl.full((), 0, tl.int64)
        while k < samples:
            draw = _draw(eps, eps_step, seed, logical, stream, k, tiling, at, dtype)
            _tile.store_at(z, k * z_step, tiling, at, mean + sigma * draw)
            k += 1
    if kl is not None or per_sample is not None or total is not None:
        raw_p = None
        if scale_p is not None:
            raw_p = scale_forms.clamp(_tile.load(scale_p, tiling, at, dtype), form)
        delta = _offset(mean, mu_p, tiling, at, dtype)
        distance = delta * delta if raw_p is None else scale_ratios.distance(delta, raw_p, form)
        _, deficit = scale_ratios.variance_ratio(raw, raw_p, form)
        value = 0.5 * (distance + deficit)
        if kl is not None:
            _tile.store(kl, tiling, at, value)
        reduce.add(per_sample, total, partials, tiling, at, value, factor)
        reduce.finish(counters, tiling, per_sample, total, partials)


@triton.jit(do_not_specialize=["seed", "factor"])
def _backward(
    mu, scale, mu_p, scale_p, eps, grad_z, grad_kl, grad_mu, grad_scale, grad_mu_p, grad_scale_p, seed_at,
    seed: tl.int64, tiling, logical, stream, samples, eps_step, z_step, factor, form, dtype: tl.constexpr,
):  # fmt: skip
    seed = _seed(seed_at, seed)
    at = _tile.locate(tiling)
    mean, unclamped = _tile.load_both(mu, scale, tiling, at, dtype)
    raw = scale_forms.clamp(unclamped, form)
    to_mu = constant_like(unclamped, 0.0)
    to_scale = constant_like(unclamped, 0.0)
    if grad_z is not None:
        along_eps = constant_like(unclamped, 0.0)
        k = tl.full((), 0, tl.int64)
        while k < samples:
            gradient = _tile.load_at(grad_z, k * z_step, tiling, at, dtype)
            to_mu += gradient
            if grad_scale is not None:
                along_eps += gradient * _draw(eps, eps_step, seed, logical, stream, k, tiling, at, dtype)
            k += 1
        if grad_scale is not None:
            to_scale = along_eps * scale_forms.sigma_slope(raw, form)
    if grad_kl is not None:
        gradient = _tile.load(grad_kl, tiling, at, dtype) * _tile.from_bits(factor, dtype)
        unclamped_p, raw_p = None, None
        if scale_p is not None:
            unclamped_p = _tile.load(scale_p, tiling, at, dtype)
            raw_p = scale_forms.clamp(unclamped_p, form)
        delta = _offset(mean, mu_p, tiling, at, dtype)
        excess, _ = scale_ratios.variance_ratio(raw, raw_p, form)
        along_mu = gradient * delta
        if scale_p is not None:
            along_mu = gradient * scale_ratios.over_variance(delta, raw_p, form)
        to_mu += along_mu
        to_scale += scale_forms.to_raw(gradient * (0.5 * excess), raw, form)
        if grad_mu_p is not None:
            _tile.store(grad_mu_p, tiling, at, -along_mu)
        if grad_scale_p is not None:
            distance = scale_ratios.distance(delta, raw_p, form)
            along_p = scale_forms.to_raw(gradient * (-0.5 * (distance + excess)), raw_p, form)
            _tile.store(grad_scale_p, tiling, at, scale_forms.through_clamp(along_p, unclamped_p, form))
    to_scale = scale_forms.through_clamp(to_scale, unclamped, form)
    _tile.store_both(grad_mu, grad_scale, tiling, at, to_mu, to_scale)


def _derived(mu: Tensor, options: PosteriorOptions, eps_step: int, z_step: int) -> tuple[Any, ...]:
    num_samples, form, reduction, batch_dims, shard = options
    stream = noise.stream(mu.shape, num_samples, shard)
    factor = _operands.factor(reduction or "none", mu.shape, batch_dims)
    return stream, num_samples or 1, eps_step, z_step, factor, scale_forms.constant(form)


# Both expand a seed.
_FORWARD: Final = Kernel(_forward, pointers=5, logical=True, derived=_derived)
_BACKWARD: Final = Kernel(_backward, pointers=1, logical=True, derived=_derived)


def _first_sample(value: Tensor | None, num_samples: int | None) -> tuple[Tensor | None, int]:
    """The first of K samples, and the elements from one to the next."""
    if value is None or num_samples is None:
        return value, 0
    return value[0], value.stride(0)


def reparameterize_kl(
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    options: PosteriorOptions,
) -> tuple[Tensor | None, Tensor | None]:
    """(z, kl): no z without eps or seed, no kl without a reduction."""
    return sample_and_kl(mu, scale, prior_mu, prior_scale, eps, seed, options)


def sample_and_kl(
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    options: PosteriorOptions,
    *,
    interleaved: bool = False,
) -> tuple[Tensor | None, Tensor | None]:
    """`reparameterize_kl`, where the elements of `scale` may alternate with those of `mu` and are read with them."""
    reduction, batch_dims, num_samples = options.reduction, options.batch_dims, options.num_samples
    z, kl = _outputs.reparameterize_kl(mu, eps, seed, options)
    summed = kl if reduction != "none" else None
    if mu.numel() == 0:
        if summed is not None:
            reduce.of_nothing(summed, reduction or "", mu.shape[:batch_dims].numel())
        return z, kl
    eps, eps_step = _first_sample(eps, num_samples)
    first_z, z_step = _first_sample(z, num_samples)
    elementwise = kl if reduction == "none" else None
    operands = (mu, scale, *_operands.expanded((prior_mu, prior_scale), mu.shape), eps, first_z, elementwise)
    per_sample, total = (summed, None) if reduction == "sample" else (None, summed)
    seed_at, seed_value = _operands.seed(seed)
    plan, launch = _FORWARD.over(
        operands,
        batch_dims if reduction == "sample" else 0,
        options,
        eps_step,
        z_step,
        beside=(seed_at, per_sample, total),
        paired=(0,) if interleaved else (),
    )
    sums = reduce.sums(plan, per_sample, total)
    launch(*operands, *sums, reduce.counters(plan, sums), seed_at, numbers=(seed_value,))
    return z, kl


def write_gradients(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    options: PosteriorOptions,
    to_posterior: tuple[Tensor | None, Tensor | None],
    to_prior: tuple[Tensor | None, Tensor | None],
    *,
    interleaved: bool = False,
) -> None:
    """Fill in the gradients of mu and scale and of the prior, None where not wanted."""
    if grad_kl is None or mu.numel() == 0:
        _operands.zero(to_prior)
        to_prior = (None, None)
    if mu.numel() == 0:
        return
    written = [_operands.full_gradient(gradient, mu) for gradient in to_prior]
    grad_z, z_step = _first_sample(grad_z, options.num_samples)
    eps, eps_step = _first_sample(eps, options.num_samples)
    if grad_kl is not None:
        grad_kl = _operands.upstream(grad_kl, mu.shape, options.reduction or "none", options.batch_dims)
    prior = _operands.expanded((prior_mu, prior_scale), mu.shape)
    given = (mu, scale, *prior, eps, grad_z, grad_kl)
    operands = (*given, *to_posterior, *written)
    paired = (0,) if to_posterior[0] is None else (0, len(given))
    seed_at, seed_value = _operands.seed(seed)
    _, launch = _BACKWARD.over(
        operands,
        0,
        options,
        eps_step,
        z_step,
        beside=(seed_at,),
        paired=paired if interleaved else (),
    )
    launch(*operands, seed_at, numbers=(seed_value,))
    for value, gradient in zip(written, to_prior, strict=True):
        _operands.narrow(value, gradient)


def reparameterize_kl_backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mu: Tensor,
    scale: Tensor,
    prior_mu: Tensor | None,
    prior_scale: Tensor | None,
    eps: Tensor | None,
    seed: Tensor | None,
    options: PosteriorOptions,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """The gradients of mu, scale, prior_mu and prior_scale, None where not wanted."""
    gradients = _outputs.gradients(wanted, mu, scale, prior_mu, prior_scale)
    to_mu, to_scale, *to_prior = gradients
    write_gradients(
        grad_z,
        grad_kl,
        mu,
        scale,
        prior_mu,
        prior_scale,
        eps,
        seed,
        options,
        (to_mu, to_scale),
        (to_prior[0], to_prior[1]),
    )
    return gradients
