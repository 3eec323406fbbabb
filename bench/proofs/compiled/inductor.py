"""The kernels that torch.compile would launch for large tensors, compiled as it would compile them.

For a process of its own: inductor's code comes from `traffic.inductor`, which changes this one for good. Inductor times
a few configurations of each kernel on the device and keeps the fastest; here they are all compiled.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import torch
import triton
from torch import Tensor
from torch._inductor.runtime import triton_helpers
from torch._inductor.runtime.triton_heuristics import CachingAutotuner
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel

from bench.gpu.benchmarks import LARGE
from bench.ops import Op
from bench.proofs.traffic import inductor

_KERNEL: Final = re.compile(r"= async_compile\.triton\('(\w+)', '''(.*?)'''", re.DOTALL)
_LAUNCH: Final = re.compile(r"(\w+)\.run\((.*), stream=")
_SMALL: Final = 16
"""A kernel over a part of the elements smaller than one in so many adds what others left."""
_LATENT: Final = "reparameterize_kl"
_numbers = itertools.count()


class Candidate(NamedTuple):
    """One configuration of a kernel.

    Attributes:
        programs: of a launch.
        passes: of each through its loop.
    """

    kernel: CompiledKernel
    programs: int
    passes: int


class Direction(NamedTuple):
    """Forward or backward of an op.

    Attributes:
        kernels: each in all its configurations.
        bytes: that they move together, as inductor counts.
        elements: of the op.
    """

    kernels: list[list[Candidate]]
    bytes: int
    elements: int


def compiled(op: Op, target: GPUTarget) -> tuple[Direction, Direction]:
    """Forward and backward of the plain PyTorch of an op, at the size that is measured on a GPU."""
    shape = LARGE.latent if op.name.startswith(_LATENT) else LARGE.pixels
    small = op.inputs((1, shape[1]))
    inputs = [_enlarged(tensor, shape[0]) for tensor in (*small.differentiable, *small.constant)]
    elements = math.prod(shape)
    forward, backward = (
        Direction(list(_kernels(found.code, elements, target)), found.tally.bytes, elements)
        for found in inductor.generated(op.peers[""], inputs)
    )
    return forward, backward


def _enlarged(tensor: Tensor, rows: int) -> Tensor:
    """So many rows of memory that nothing touches; a scalar as it is."""
    if tensor.dim() == 0:
        return tensor
    return torch.empty((rows, *tensor.shape[1:]), dtype=tensor.dtype, requires_grad=tensor.requires_grad)


def _kernels(code: str, elements: int, target: GPUTarget) -> Iterator[list[Candidate]]:
    tuners = {name: _load(name, source) for name, source in _KERNEL.findall(code)}
    for name, arguments in _LAUNCH.findall(code):
        tuner = tuners.get(name)
        if tuner is None:
            continue
        given = dict(zip(tuner.fn.arg_names, arguments.split(", "), strict=False))
        sizes = [int(given[size]) for size in ("xnumel", "r0_numel") if size in given]
        if math.prod(sizes) * _SMALL >= elements:
            yield [_candidate(tuner, config, sizes, target) for config in tuner.configs]


def _load(name: str, source: str) -> CachingAutotuner:
    # Triton reads the source of a kernel from its file.
    path = Path(tempfile.mkdtemp()) / f"{name}_{next(_numbers)}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(triton_helpers, "set_driver_to_gpu"):
        spec.loader.exec_module(module)
    return getattr(module, name)  # type: ignore[no-any-return]


def _candidate(tuner: CachingAutotuner, config: Any, sizes: Sequence[int], target: GPUTarget) -> Candidate:
    meta = tuner._create_compile_meta(config)
    source = ASTSource(tuner.fn, meta["signature"], meta["constants"], meta["configs"][0])
    kernel = triton.compile(source, target=target, options=tuner._create_compile_options(config, meta))
    rows, *reduced = sizes
    passes = math.ceil(reduced[0] / config.kwargs["R0_BLOCK"]) if "R0_BLOCK" in config.kwargs else 1
    return Candidate(kernel, math.ceil(rows / config.kwargs["XBLOCK"]), passes)
