"""What is measured on a GPU: ops of `bench.ops` where memory decides, where launches do, and in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from bench import heavy_ops, ops
from bench.calls import SizedOp
from bench.gpu.device import Device
from bench.ops import Op, Shape


class Size(NamedTuple):
    """Its name; shapes of pixels and of the latent; whether launching a call takes longer than running it."""

    name: str
    pixels: Shape
    latent: Shape
    launch_bound: bool


LARGE: Final = Size("large", (131072, 1024), (65536, 1024), False)
MNIST: Final = Size("mnist", (128, 784), (128, 20), True)
MIDDLE: Final = Size("middle", (4096, 784), (4096, 128), False)
_SIZES: Final = (LARGE, MNIST, MIDDLE)
_DRY_SIZES: Final = (Size("middle", (12, 16), (12, 4), False), Size("mnist", (3, 7), (3, 5), True))

# The losses that take a large part of a step, at their own sizes beside those.
HEAVY: Final[dict[Size, tuple[SizedOp, ...]]] = {
    MNIST: (
        SizedOp(heavy_ops.TOTAL_CORRELATION, ((256, 10),)),
        SizedOp(heavy_ops.LOG_NORMAL_MIXTURE, ((128, 40), (500, 40))),
        SizedOp(heavy_ops.NEGATIVE_BINOMIAL, ((128, 2000),)),
        SizedOp(heavy_ops.ZERO_INFLATED, ((128, 2000),)),
        SizedOp(heavy_ops.DISCRETIZED, ((16, 3, 32, 32),)),
    ),
    MIDDLE: (
        SizedOp(heavy_ops.TOTAL_CORRELATION, ((2048, 32),)),
        SizedOp(heavy_ops.LOG_NORMAL_MIXTURE, ((1024, 32), (500, 32))),
        SizedOp(heavy_ops.NEGATIVE_BINOMIAL, ((1024, 20000),)),
        SizedOp(heavy_ops.ZERO_INFLATED, ((1024, 20000),)),
        SizedOp(heavy_ops.DISCRETIZED, ((64, 3, 64, 64),)),
    ),
    _DRY_SIZES[1]: (
        SizedOp(heavy_ops.TOTAL_CORRELATION, ((6, 3),)),
        SizedOp(heavy_ops.LOG_NORMAL_MIXTURE, ((5, 3), (4, 3))),
        SizedOp(heavy_ops.NEGATIVE_BINOMIAL, ((5, 7),)),
        SizedOp(heavy_ops.ZERO_INFLATED, ((5, 7),)),
        # Not a mixture of logistics, of which the interpreter takes seconds a call.
    ),
}

LOSSES: Final = (ops.BCE, ops.BCE_BYTES, ops.BCE_BYTES_HALF, ops.MSE)
LATENTS: Final = (ops.REPARAMETERIZE_KL, ops.REPARAMETERIZE_KL_PACKED, ops.REPARAMETERIZE_KL_PACKED_HALF)


class Benchmark(NamedTuple):
    """One op at one size."""

    sized: SizedOp
    launch_bound: bool

    @property
    def op(self) -> Op:
        """Of `bench.ops` or `bench.heavy_ops`."""
        return self.sized.op

    @property
    def kind(self) -> str:
        """The op and its dtypes, at any size."""
        return f"{self.op.name} {self.op.dtype} {self.op.target}"

    @property
    def name(self) -> str:
        """Unique among the benchmarks."""
        return f"{self.kind} {self.sized.size}"


def sizes(device: Device) -> tuple[Size, ...]:
    """What is measured on a device, the most valuable first."""
    return _SIZES if device.real else _DRY_SIZES


def benchmarks_of(size: Size) -> Iterator[Benchmark]:
    """Every op at a size. The whole ELBO is of both shapes, too much for the largest."""
    for op in LOSSES:
        yield Benchmark(SizedOp(op, (size.pixels,)), size.launch_bound)
    for op in LATENTS:
        yield Benchmark(SizedOp(op, (size.latent,)), size.launch_bound)
    if size is not LARGE:
        yield Benchmark(SizedOp(ops.ELBO, (size.latent, size.pixels)), size.launch_bound)
    for sized in HEAVY.get(size, ()):
        yield Benchmark(sized, size.launch_bound)
