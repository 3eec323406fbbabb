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
from fastvae._triton._mixture_kernels import Shape, forward, to_components, to_points

_MAX_LAUNCHES: Final = 1024
_THREADS: Final = 256
_DIMS: Final = 128 if INTERPRETED else 16
# By the size of an element: the points of a tile, and its elements, which are to stay in registers. Its dimensions are
# as many as there are, up to _DIMS.
_POINTS: Final = dict.fromkeys((4, 8), 64) if INTERPRETED else {4: 16, 8: 8}
_TILE: Final = dict.fromkeys((4, 8), 2**17) if INTERPRETED else {4: 1024, 8: 512}


class Mixture(NamedTuple):
    """What the kernels take of a mixture beside tensors: what its scales mean, whether each dimension is a mixture of
    its own, too, what two of the components are weighted by, and what is added to every log-density."""

    form: ScaleForm
    by_dimension: bool
    log_own: float | None = None
    log_next: float | None = None
    log_weight: float = 0.0


_launches: dict[tuple[Any, ...], Launch] = {}


def _run(
    function: Any,
    over: int,
    tensors: Sequence[Tensor | None],
    strides: tuple[Any, ...],
    shape: Shape,
    mixture: Mixture,
    results: Sequence[Tensor | None] = (),
) -> None:
    """Run with programs that share out the points (`over` = 0) or the components (1), and the dimensions in chunks.

    `results`, which the function takes behind the other tensors, are no more than pointers.
    """
    like = tensors[0]
    assert like is not None
    _launch.check_device(like)
    key = (function, _C.layout_key(tuple(tensors)), shape, mixture)
    launch = None if INTERPRETED else _launches.get(key)
    if launch is None:
        dtype = compute_dtype(like)
        block_dims = _block_dims(shape)
        block_points = _POINTS[dtype.itemsize]
        rest = max(_TILE[dtype.itemsize] // (block_points * block_dims), 4)
        blocks = (block_points, min(rest, max(triton.next_power_of_2(shape.components), 4)), block_dims)
        in_chunks = mixture.by_dimension or function is not forward
        chunks = _chunks(shape) if in_chunks else 1
        launch = Launch(
            function,
            triton.cdiv(shape[over], blocks[over]) * chunks,
            [None] * (len(tensors) + len(results)),
            (
                *strides,
                shape,
                *(value and _operands.float_bits(value) for value in (mixture.log_own, mixture.log_next)),
                *([_operands.float_bits(mixture.log_weight)] if function is forward else []),
                scale_forms.constant(mixture.form),
                mixture.by_dimension,
                *blocks,
                tl.float64 if dtype == torch.float64 else tl.float32,
            ),
            **_launch.compile_options(_THREADS),
        )
        if len(_launches) == _MAX_LAUNCHES:
            _launches.clear()
        _launches[key] = launch
    launch(*tensors, *results)


def _block_dims(shape: Shape) -> int:
    """The dimensions that a program covers."""
    return min(_DIMS, int(triton.next_power_of_2(max(shape.dims, 1))))


def _chunks(shape: Shape) -> int:
    return max(int(triton.cdiv(shape.dims, _block_dims(shape))), 1)


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
    partials, counters = None, None
    if log_product is not None and _chunks(shape) > 1:
        partials = sums.new_empty((shape.points, _chunks(shape)), dtype=torch.float64)
        counters = _arrivals.counters(sums, triton.cdiv(shape.points, _POINTS[sums.dtype.itemsize]))
    results = log_prob, log_product, partials, counters
    _run(forward, 0, (z, mu, scale, log_weights, sums), strides, shape, mixture, results)


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
        _run(to_points, 0, (*tensors, to_z), (*strides, to_z.stride(), *of_upstream), shape, mixture)
    wanted = (to_mu, to_scale, sums_of_weights)
    if any(gradient is not None and gradient.numel() for gradient in wanted):
        written = [(0, 0) if gradient is None else gradient.stride() for gradient in wanted[:2]]
        _run(to_components, 1, (*tensors, *wanted), (*strides, *written, *of_upstream), shape, mixture)
