"""What is measured on a CPU: every op at the sizes people run (batch first), and the two training steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch

from bench import heavy_ops, ops
from bench.calls import SizedOp, trial
from bench.cpu import heavy_steps, training_steps
from bench.cpu.training_steps import TrainingStep
from bench.ops import Op, Shape, Tests
from bench.timing import Trial

MODES: Final = ("forward", "backward", "both")
STEP: Final = "step"
# By mode, then by provider.
Trials = Mapping[str, Mapping[str, Trial]]


@dataclass(frozen=True)
class Benchmark:
    """One op at one size, or one training step.

    Attributes:
        elements: of the pixels, or of the latent where there are none.
        min_bytes: what forward and backward together must move; None for a training step.
        max_peak: what they may allocate at once.
        setup: makes the inputs and the calls.
    """

    op: str
    size: str
    elements: int
    tests: Tests
    setup: Callable[[], Trials]
    modes: tuple[str, ...] = MODES
    target: str = "float32"
    dtype: str = "float32"
    min_bytes: int | None = None
    max_peak: int | None = None

    @property
    def name(self) -> str:
        """Unique among the benchmarks."""
        return f"{self.op} {self.size} {self.target}"


_PIXELS: Final[tuple[Shape, ...]] = (
    (128, 784),
    (64, 3, 64, 64),
    (12, 3, 256, 256),
    (4096, 784),
    (1000, 4096),
    (64, 3, 256, 256),
    (2048, 20000),
    (4096, 3, 64, 64),
)
_LARGE_PIXELS: Final[tuple[Shape, ...]] = ((128, 784), (4096, 784), (64, 3, 256, 256))
_LATENTS: Final[tuple[Shape, ...]] = (
    (128, 20),
    (64, 128),
    (1000, 10),
    (12, 4, 32, 32),
    (2048, 30),
    (1024, 128),
    (4096, 128),
    (64, 192, 256),
    (65536, 128),
    (98304, 128),
)
_CELLS: Final[tuple[Shape, ...]] = ((128, 2000), (128, 20000))
_SIZES: Final[tuple[tuple[Op, tuple[tuple[Shape, ...], ...]], ...]] = (
    (ops.BCE, tuple((shape,) for shape in _PIXELS)),
    (ops.BCE_BYTES, tuple((shape,) for shape in _LARGE_PIXELS)),
    (ops.BCE_INPLACE, tuple((shape,) for shape in _LARGE_PIXELS)),
    (ops.MSE, tuple((shape,) for shape in _PIXELS)),
    (ops.GAUSSIAN_NLL, tuple((shape,) for shape in _LARGE_PIXELS)),
    (ops.REPARAMETERIZE_KL, tuple((shape,) for shape in _LATENTS)),
    (ops.REPARAMETERIZE_KL_PACKED, tuple((shape,) for shape in _LATENTS)),
    (
        ops.ELBO,
        (
            ((128, 20), (128, 784)),
            ((4096, 20), (4096, 784)),
            ((64, 4, 32, 32), (64, 3, 256, 256)),
            ((4096, 128), (4096, 3, 64, 64)),
        ),
    ),
)


_HEAVY: Final[tuple[tuple[Op, tuple[tuple[Shape, ...], ...]], ...]] = (
    (heavy_ops.TOTAL_CORRELATION, tuple((shape,) for shape in ((256, 10), (1024, 10), (2048, 10), (2048, 32)))),
    (heavy_ops.LOG_NORMAL_MIXTURE, (((128, 40), (500, 40)), ((1024, 32), (500, 32)))),
    (heavy_ops.NEGATIVE_BINOMIAL, tuple((shape,) for shape in _CELLS)),
    (heavy_ops.ZERO_INFLATED, tuple((shape,) for shape in _CELLS)),
    (heavy_ops.MMD, (((1024, 10),),)),
    (heavy_ops.DIP, (((1024, 10),),)),
    (heavy_ops.DISCRETIZED, tuple((shape,) for shape in ((16, 3, 32, 32), (64, 3, 32, 32), (8, 3, 64, 64)))),
)


def all_benchmarks() -> Iterator[Benchmark]:
    """Every one, small sizes first within an op."""
    for op, sizes in (*_SIZES, *_HEAVY):
        for shapes in sizes:
            yield _of_op(SizedOp(op, shapes))
    yield from map(_of_step, (*training_steps.TRAINING_STEPS, *heavy_steps.HEAVY_STEPS))


def _of_step(step: TrainingStep) -> Benchmark:
    heavy = step in heavy_steps.HEAVY_STEPS
    tests = {**ops.RECONSTRUCTION_TESTS, **ops.LATENT_TESTS, **(heavy_steps.TESTS if heavy else {})}
    return Benchmark(step.name, step.size, step.elements, tests, lambda: {STEP: step.trials()}, modes=(STEP,))


def _of_op(sized: SizedOp) -> Benchmark:
    op = sized.op
    return Benchmark(
        op.name, sized.size, sized.elements, op.tests, lambda: _trials(sized), MODES, op.target, op.dtype,
        sized.min_bytes, sized.max_peak,
    )  # fmt: skip


def _trials(sized: SizedOp) -> Trials:
    op, inputs = sized.op, sized.inputs()
    functions = {"fastvae": op.fastvae}
    for suffix, peer in op.peers.items():
        functions[f"eager{suffix}"] = peer
        functions[f"compile{suffix}"] = torch.compile(peer, fullgraph=True, dynamic=False)
    return {
        mode: {provider: trial(function, inputs, mode, fresh=op.fresh) for provider, function in functions.items()}
        for mode in MODES
    }
