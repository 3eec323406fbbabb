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
from fastvae._triton import _launch, _operands, scale_forms
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
    """What the kernels take of a mixture beside tensors: how it is weighted, what its scales mean, and whether each
    dimension is a mixture of its own, too."""

    form: ScaleForm
    by_dimension: bool
    log_own: float | None = None
    log_next: float | None = None


_launches: dict[tuple[Any, ...], Launch] = {}


def _run(
    function: Any, over: int, tensors: Sequence[Tensor | None], strides: tuple[Any, ...], shape: Shape, mixture: Mixture
) -> None:
    """Run with programs that share out the points (`over` = 0) or the components (1), and the dimensions in chunks."""
    like = tensors[0]
    assert like is not None
    _launch.check_device(like)
    key = (function, _C.layout_key(tuple(tensors)), shape, mixture)
    launch = None if INTERPRETED else _launches.get(key)
    if launch is None:
        dtype = compute_dtype(like)
        block_dims = min(_DIMS, triton.next_power_of_2(max(shape.dims, 1)))
        block_points = _POINTS[dtype.itemsize]
        rest = max(_TILE[dtype.itemsize] // (block_points * block_dims), 4)
        blocks = (block_points, min(rest, max(triton.next_power_of_2(shape.components), 4)), block_dims)
        in_chunks = mixture.by_dimension or function is not forward
        chunks = max(triton.cdiv(shape.dims, block_dims), 1) if in_chunks else 1
        launch = Launch(
            function,
            triton.cdiv(shape[over], blocks[over]) * chunks,
            [None] * len(tensors),
            (
                *strides,
                shape,
                *(value and _operands.float_bits(value) for value in (mixture.log_own, mixture.log_next)),
                scale_forms.constant(mixture.form),
                mixture.by_dimension,
                *blocks,
                tl.float64 if dtype == torch.float64 else tl.float32,
            ),
            **_launch.compile_options(_THREADS, all_registers=True),
        )
        if len(_launches) == _MAX_LAUNCHES:
            _launches.clear()
        _launches[key] = launch
    launch(*tensors)


def add(z: Tensor, mu: Tensor, scale: Tensor, log_weights: Tensor | None, out: Tensor, mixture: Mixture) -> None:
    """What backward needs of the sums over components ``[K, D]`` for points ``[batch, D]``, into `out`.

    That is the logarithm of the sum of each dimension, where those are wanted, then the largest exponent of all
    dimensions together and the sum relative to it. `log_weights` are normalized, in the compute dtype.
    """
    shape = Shape(*z.shape[:1], *mu.shape)
    strides = z.stride(), mu.stride(), scale.stride()
    _run(forward, 0, (z, mu, scale, log_weights, out), strides, shape, mixture)


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
