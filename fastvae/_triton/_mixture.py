"""Launches of the kernels of a mixture of Gaussians, over points ``[batch, D]`` and components ``[K, D]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae._extension import _C
from fastvae._options import ScaleForm
from fastvae._outputs import compute_dtype
from fastvae._triton import _arrivals, _launch, _operands, scale_forms
from fastvae._triton._launch import INTERPRETED, Launch
from fastvae._triton._mixture_kernels import Blocks, Shape, forward, to_components, to_points

_MAX_LAUNCHES: Final = 1024
_THREADS: Final = 128
# Points or components of a program's own, and of the others at a time: a thread each of a warp, a warp each.
_OWN: Final = 64 if INTERPRETED else 32
_WALKED: Final = 16 if INTERPRETED else 4
# Dimensions that a thread has in registers, by the size of an element: all there are, or half as many at a time.
_DIMS: Final = dict.fromkeys((4, 8), 128) if INTERPRETED else {4: 32, 8: 8}
# Several programs share a walk until there are so many, which leave no multiprocessor idle.
_PROGRAMS: Final = 4 if INTERPRETED else 512
_PARTS: Final = 32
# Of what the programs left, the bytes that the last one adds up at once.
_ADDED: Final = 2**20 if INTERPRETED else 2**14


class Mixture(NamedTuple):
    """What the kernels take of a mixture beside tensors: what its scales mean, whether each dimension is a mixture of
    its own, too, what two of the components are weighted by, and what is added to every log-density."""

    form: ScaleForm
    by_dimension: bool
    log_own: float | None = None
    log_next: float | None = None
    log_weight: float = 0.0


# By what a kernel depends on: its launch, the counters that takes, and how many numbers the programs leave.
_launches: dict[tuple[Any, ...], tuple[Launch, int, int]] = {}


def _blocks(function: Any, over: int, shape: Shape, by_dimension: bool, dtype: torch.dtype) -> tuple[Blocks, int]:
    """How programs share out the points (`over` = 0) or the components (1), and how many share a block of those, apart
    from the parts of a walk."""
    dims = min(_DIMS[dtype.itemsize], triton.next_power_of_2(max(shape.dims, 1)))
    whole = shape.dims <= dims
    if not whole:
        # The same everywhere: a gradient's exponents are to be, to the bit, those that were summed.
        dims //= 2
    jobs = max(triton.cdiv(shape.dims, dims), 1)
    if function is forward:
        # One program does all, or one all dimensions together and others some each.
        jobs = jobs + 1 if by_dimension and not whole else 1
    walk = triton.cdiv(shape[1 - over], _WALKED)
    wanted = min(_PROGRAMS // (triton.cdiv(shape[over], _OWN) * jobs), walk, _PARTS)
    parts = triton.next_power_of_2(wanted + 1) // 2 if wanted > 1 else 1
    added = min(dims, max(_ADDED // (parts * _OWN * dtype.itemsize), 1))
    return Blocks(_OWN, _WALKED, dims, whole, parts, added), jobs


def _run(
    function: Any,
    over: int,
    left: int,
    tensors: Sequence[Tensor | None],
    results: Sequence[Tensor | None],
    strides: tuple[Any, ...],
    shape: Shape,
    mixture: Mixture,
) -> None:
    """Run with programs that share out the points (`over` = 0) or the components (1).

    Each leaves `left` numbers for each of its own. `results`, which the function takes behind the other tensors, are no
    more than pointers.
    """
    like = tensors[0]
    assert like is not None
    _launch.check_device(like)
    dtype = compute_dtype(like)
    key = (function, _C.layout_key((*tensors, *results)), shape, mixture)
    planned = None if INTERPRETED else _launches.get(key)
    if planned is None:
        blocks, jobs = _blocks(function, over, shape, mixture.by_dimension, dtype)
        groups = triton.cdiv(shape[over], blocks.own) * jobs
        launch = Launch(
            function,
            groups * blocks.parts,
            [None] * (len(tensors) + len(results) + 2),
            (
                *strides,
                shape,
                *(value and _operands.float_bits(value) for value in (mixture.log_own, mixture.log_next)),
                *([_operands.float_bits(mixture.log_weight)] if function is forward else []),
                scale_forms.constant(mixture.form),
                mixture.by_dimension,
                Blocks(*map(tl.constexpr, blocks)),
                tl.float64 if dtype == torch.float64 else tl.float32,
            ),
            **_launch.compile_options(_THREADS),
        )
        if len(_launches) == _MAX_LAUNCHES:
            _launches.clear()
        planned = _launches[key] = launch, groups, blocks.parts * left * shape[over]
    launch, groups, numbers = planned
    launch(*tensors, *results, like.new_empty(numbers, dtype=dtype), _arrivals.counters(like, groups))


def add(
    z: Tensor, mu: Tensor, scale: Tensor, log_weights: Tensor | None, mixture: Mixture,
    sums: Tensor, log_prob: Tensor, log_product: Tensor | None = None,
) -> None:  # fmt: skip
    """The log-densities of points ``[batch, D]`` under components ``[K, D]``: of all dimensions together, and the sum
    of those of each dimension, where it is a mixture of its own.

    `sums` get what backward needs of the sums over components: the logarithm of each dimension's, where those are
    wanted, then the largest exponent of all dimensions together and the sum relative to it. `log_weights` are
    normalized, in the compute dtype.
    """
    shape = Shape(*z.shape[:1], *mu.shape)
    strides = z.stride(), mu.stride(), scale.stride()
    left = 2 * (shape.dims + 1 if mixture.by_dimension else 1)
    tensors, results = (z, mu, scale, log_weights), (sums, log_prob, log_product)
    _run(forward, 0, left, tensors, results, strides, shape, mixture)


def gradients(
    upstream: tuple[Tensor | None, Tensor | None],
    z: Tensor,
    mu: Tensor,
    scale: Tensor,
    log_weights: Tensor | None,
    sums: Tensor,
    mixture: Mixture,
    to_z: Tensor | None,
    to_mu: Tensor | None,
    to_scale: Tensor | None,
    sums_of_weights: Tensor | None = None,
) -> None:
    """Of z, mu and scale where they are wanted, and the sum of the weights of each component times the upstream."""
    shape = Shape(*z.shape[:1], *mu.shape)
    tensors = z, mu, scale, log_weights, sums, *upstream
    strides = z.stride(), mu.stride(), scale.stride()
    of_upstream = [0 if gradient is None else gradient.stride(0) for gradient in upstream]
    if to_z is not None and to_z.numel():
        written = to_z.stride(), *of_upstream
        _run(to_points, 0, shape.dims, tensors, (to_z,), (*strides, *written), shape, mixture)
    wanted = (to_mu, to_scale, sums_of_weights)
    if any(gradient is not None and gradient.numel() for gradient in wanted):
        of_scale = [(0, 0) if gradient is None else gradient.stride() for gradient in wanted[:2]]
        left = 2 * shape.dims + 1
        _run(to_components, 1, left, tensors, wanted, (*strides, *of_scale, *of_upstream), shape, mixture)
