"""Log-density of a diagonal Gaussian on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import triton
import triton.language as tl
from torch import Tensor

from fastvae import _outputs
from fastvae._options import DensityOptions
from fastvae._triton import _operands, _tile, reduce, scale_forms, scale_ratios
from fastvae._triton._launch import Kernel
from fastvae._triton.elementary import constant_like


@triton.jit(do_not_specialize=["factor"])
def _forward(
    z, mu, scale, log_prob, per_sample, total, partials, counters, tiling, factor, form, dtype: tl.constexpr
):  # fmt: skip
    at = _tile.locate(tiling)
    delta = _tile.load(z, tiling, at, dtype)
    value = constant_like(delta, -0.91893853320467274178)
    if scale is None:
        value = value - (0.5 * delta) * delta
    else:
        raw = scale_forms.clamp(_tile.load(scale, tiling, at, dtype), form)
        delta = delta - _tile.load(mu, tiling, at, dtype)
        value = value - scale_ratios.log_abs_sigma(raw, form) - 0.5 * scale_ratios.distance(delta, raw, form)
    if log_prob is not None:
        _tile.store(log_prob, tiling, at, value)
    reduce.add(per_sample, total, partials, tiling, at, value, factor)
    reduce.finish(counters, tiling, per_sample, total, partials)


@triton.jit(do_not_specialize=["factor"])
def _backward(z, mu, scale, upstream, grad_z, grad_mu, grad_scale, tiling, factor, form, dtype: tl.constexpr):
    at = _tile.locate(tiling)
    gradient = _tile.load(upstream, tiling, at, dtype) * _tile.from_bits(factor, dtype)
    delta = _tile.load(z, tiling, at, dtype)
    along_z = -gradient * delta
    if scale is not None:
        unclamped = _tile.load(scale, tiling, at, dtype)
        raw = scale_forms.clamp(unclamped, form)
        delta = delta - _tile.load(mu, tiling, at, dtype)
        along_z = -gradient * scale_ratios.over_variance(delta, raw, form)
        if grad_mu is not None:
            _tile.store(grad_mu, tiling, at, -along_z)
        if grad_scale is not None:
            excess = scale_ratios.distance(delta, raw, form) - 1.0
            along_scale = scale_forms.to_raw(gradient * (0.5 * excess), raw, form)
            _tile.store(grad_scale, tiling, at, scale_forms.through_clamp(along_scale, unclamped, form))
    if grad_z is not None:
        _tile.store(grad_z, tiling, at, along_z)


def _derived(z: Tensor, options: DensityOptions) -> tuple[Any, ...]:
    form, reduction, batch_dims = options
    return _operands.factor(reduction, z.shape, batch_dims), scale_forms.constant(form)


_FORWARD: Final = Kernel(_forward, pointers=4, derived=_derived)
_BACKWARD: Final = Kernel(_backward, derived=_derived)


def log_normal(z: Tensor, mu: Tensor | None, scale: Tensor | None, options: DensityOptions) -> Tensor:
    """log N(z; mu, sigma^2), reduced; the standard normal without mu and scale."""
    reduction, batch_dims = options.reduction, options.batch_dims
    out = _outputs.loss(z, reduction, batch_dims)
    if z.numel() == 0:
        reduce.of_nothing(out, reduction, z.shape[:batch_dims].numel())
        return out
    operands = (z, *_operands.expanded((mu, scale), z.shape), out if reduction == "none" else None)
    per_sample = out if reduction == "sample" else None
    total = None if reduction in ("none", "sample") else out
    rows = 0 if per_sample is None else batch_dims
    plan, launch = _FORWARD.over(operands, rows, options, beside=(per_sample, total))
    sums = reduce.sums(plan, per_sample, total)
    launch(*operands, *sums, reduce.counters(plan, sums))
    return out


def log_normal_backward(
    grad_log_prob: Tensor,
    z: Tensor,
    mu: Tensor | None,
    scale: Tensor | None,
    options: DensityOptions,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """The gradients of z, mu and scale, None where not wanted."""
    gradients = _outputs.gradients(wanted, z, mu, scale)
    to_z, *narrowed = gradients
    if z.numel() == 0:
        _operands.zero(gradients)
        return gradients
    written = [_operands.full_gradient(gradient, z) for gradient in narrowed]
    upstream = _operands.upstream(grad_log_prob, z.shape, options.reduction, options.batch_dims)
    operands = (z, *_operands.expanded((mu, scale), z.shape), upstream, to_z, *written)
    _, launch = _BACKWARD.over(operands, 0, options)
    launch(*operands)
    for value, narrowed_gradient in zip(written, narrowed, strict=True):
        _operands.narrow(value, narrowed_gradient)
    return gradients
