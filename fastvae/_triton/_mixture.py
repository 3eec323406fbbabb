"""Launches of the kernels of a mixture of Gaussians, over points ``[batch, D]`` and components ``[K, D]``."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastvae._extension import _C
from fastvae._options import ScaleForm
from fastvae._triton import _launch, _operands, scale_forms
from fastvae._triton import _mixture_kernels as kernels
from fastvae._triton._launch import INTERPRETED, Launch
from fastvae._triton._mixture_kernels import Blocks, Shape

_MAX_LAUNCHES: Final = 1024
_THREADS: Final = 128
# Points or components of a program's own, one a lane of a warp.
_OWN: Final = 64 if INTERPRETED else 32
# By the size of an element: the most dimensions of a program, or half of them where there are more, and the elements
# that a thread has of a tile.
_DIMS: Final = dict.fromkeys((4, 8), 128) if INTERPRETED else {4: 32, 8: 8}
_PER_THREAD: Final = dict.fromkeys((4, 8), 1024) if INTERPRETED else {4: 32, 8: 8}
# Several programs share a walk until there are so many, which leave no multiprocessor idle.
_PROGRAMS: Final = 4 if INTERPRETED else 512
_PARTS: Final = 32
# Of what the parts left, a program adds up so many dimensions, by the size of an element, of so many points or
# components.
_ADDED_DIMS: Final = dict.fromkeys((4, 8), 128) if INTERPRETED else {4: 32, 8: 16}
_ADDED: Final = 64 if INTERPRETED else 8


class Mixture(NamedTuple):
    """What the kernels take of a mixture beside tensors: what its scales mean, whether each dimension is a mixture of
    its own, too, what two of the components are weighted by, and what is added to every log-density."""

    form: ScaleForm
    by_dimension: bool
    log_own: float | None = None
    log_next: float | None = None
    log_weight: float = 0.0


_launches: dict[tuple[Any, ...], Launch] = {}


@functools.lru_cache(_MAX_LAUNCHES)
def _blocks(walked: int, over: int, dims: int, chunked: bool, dtype: torch.dtype) -> tuple[Blocks, int]:
    """How programs share out so many points or components (`over`), and the dimensions if these are `chunked`; and how
    many there are."""
    block_dims = min(_DIMS[dtype.itemsize], triton.next_power_of_2(max(dims, 1)))
    whole = dims <= block_dims
    at_once = max(_PER_THREAD[dtype.itemsize] * _THREADS // (block_dims * _OWN), 1)
    if not whole and not INTERPRETED:
        block_dims //= 2
    groups = triton.cdiv(over, _OWN) * (max(triton.cdiv(dims, block_dims), 1) if chunked else 1)
    wanted = max(min(_PROGRAMS // groups, triton.cdiv(walked, at_once), _PARTS), 1)
    parts = 2 ** (wanted.bit_length() - 1)
    return Blocks(_OWN, at_once, block_dims, whole, parts), groups * parts


@functools.lru_cache(_MAX_LAUNCHES)
def _finishing(over: int, dims: int, dtype: torch.dtype) -> tuple[int, int, int]:
    """(points or components, dimensions) of a program that adds up parts, and how many programs there are."""
    block_dims = min(_ADDED_DIMS[dtype.itemsize], triton.next_power_of_2(max(dims, 1)))
    return _ADDED, block_dims, triton.cdiv(over, _ADDED) * max(triton.cdiv(dims, block_dims), 1)


def _constant(argument: Any) -> Any:
    """An argument as kernels take it."""
    if isinstance(argument, Blocks):
        return Blocks(*map(tl.constexpr, argument))
    if isinstance(argument, float):
        return _operands.float_bits(argument)
    if isinstance(argument, torch.dtype):
        return tl.float64 if argument == torch.float64 else tl.float32
    return scale_forms.constant(argument) if isinstance(argument, ScaleForm) else argument


def _run(function: Any, programs: int, tensors: tuple[Tensor | None, ...], *arguments: Any) -> None:
    """Run on tensors that are no more than pointers."""
    key = function, _C.layout_key(tensors), programs, arguments
    launch = None if INTERPRETED else _launches.get(key)
    if launch is None:
        options = _launch.compile_options(_THREADS)
        launch = Launch(function, programs, [None] * len(tensors), tuple(map(_constant, arguments)), **options)
        if len(_launches) == _MAX_LAUNCHES:
            _launches.clear()
        _launches[key] = launch
    launch(*tensors)


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
    _launch.check_device(z)
    shape, dtype = Shape(*z.shape[:1], *mu.shape), sums.dtype

    def walk(joint: Tensor | None, each: Tensor | None, blocks: Blocks, programs: int) -> None:
        tensors = z, mu, scale, log_weights, joint, each
        of_all = z.stride(), mu.stride(), scale.stride(), shape, mixture.log_own, mixture.log_next, mixture.form
        _run(kernels.add, programs, tensors, *of_all, blocks, dtype)

    together, programs = _blocks(shape.components, shape.points, shape.dims, False, dtype)
    apart, programs_apart = _blocks(shape.components, shape.points, shape.dims, True, dtype)
    joint = sums.new_empty(2 * together.parts * shape.points)
    each = sums.new_empty(2 * apart.parts * shape.points * shape.dims) if mixture.by_dimension else None
    if each is None or together.whole:
        walk(joint, each, together, programs)
    else:
        walk(joint, None, together, programs)
        walk(None, each, apart, programs_apart)
    own, dims, _ = _finishing(shape.points, shape.dims, dtype)
    tensors, parts = (joint, each, sums, log_prob, log_product), (together.parts, apart.parts)
    programs = triton.cdiv(shape.points, own)
    _run(kernels.finish_sums, programs, tensors, shape, mixture.log_weight, *parts, own, dims, dtype)


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
    _launch.check_device(z)
    shape, dtype = Shape(*z.shape[:1], *mu.shape), sums.dtype
    tensors = z, mu, scale, log_weights, sums, *upstream
    of_all = (
        *(z.stride(), mu.stride(), scale.stride()),
        *(0 if gradient is None else gradient.stride(0) for gradient in upstream),
        *(shape, mixture.log_own, mixture.log_next, mixture.form, mixture.by_dimension),
    )
    if to_z is not None and to_z.numel():
        blocks, programs = _blocks(shape.components, shape.points, shape.dims, True, dtype)
        left = sums.new_empty(blocks.parts * shape.points * shape.dims)
        _run(kernels.to_points, programs, (*tensors, left), *of_all, blocks, dtype)
        own, dims, programs = _finishing(shape.points, shape.dims, dtype)
        _run(kernels.finish_points, programs, (left, to_z), to_z.stride(), shape, blocks.parts, own, dims)
    wanted = to_mu, to_scale, sums_of_weights
    if any(gradient is not None and gradient.numel() for gradient in wanted):
        blocks, programs = _blocks(shape.points, shape.components, shape.dims, True, dtype)
        left = sums.new_empty(2 * blocks.parts * shape.components * shape.dims)
        of_weights = None if sums_of_weights is None else sums.new_empty(blocks.parts * shape.components)
        _run(kernels.to_components, programs, (*tensors, left, of_weights), *of_all, blocks, dtype)
        own, dims, programs = _finishing(shape.components, shape.dims, dtype)
        strides = scale.stride(), *((0, 0) if gradient is None else gradient.stride() for gradient in wanted[:2])
        rest = *strides, shape, mixture.form, blocks.parts, own, dims, dtype
        _run(kernels.finish_components, programs, (left, of_weights, scale, *wanted), *rest)
