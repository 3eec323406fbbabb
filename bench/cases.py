"""The cases: every op at the sizes people run (batch first), and the two training steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.autograd.graph import _engine_run_backward

from bench import ops, steps
from bench.ops import Function, Inputs, Op, Shape, Tests, size_name
from bench.steps import Step
from bench.timing import Trial

MODES: Final = ("forward", "backward", "both")
STEP: Final = "step"
# By mode, then by provider.
Trials = Mapping[str, Mapping[str, Trial]]


@dataclass(frozen=True)
class Case:
    """One op at one size.

    Attributes:
        elements: of the pixels, or of the latent where there are none.
        min_bytes: what forward and backward together must move; None where there is no floor to speak of.
        max_peak: what they may allocate at once.
        setup: makes the inputs and the calls.
    """

    op: str
    size: str
    target: str
    elements: int
    min_bytes: int | None
    max_peak: int | None
    tests: Tests
    modes: tuple[str, ...]
    setup: Callable[[], Trials]
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """Unique among the cases."""
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


def all_cases() -> Iterator[Case]:
    """Every case, small sizes first within an op."""
    for op, sizes in _SIZES:
        for shapes in sizes:
            yield case_of(op, shapes)
    yield from map(_step_case, steps.STEPS)


def _step_case(step: Step) -> Case:
    return Case(
        op=step.name,
        size=step.size,
        target="float32",
        elements=step.elements,
        min_bytes=None,
        max_peak=None,
        tests={**ops.RECONSTRUCTION_TESTS, **ops.LATENT_TESTS},
        modes=(STEP,),
        setup=lambda: {STEP: step.trials()},
    )


def case_of(op: Op, shapes: tuple[Shape, ...]) -> Case:
    """An op at one size, given the shapes its inputs are made from."""
    counts = [math.prod(shape) for shape in shapes]
    return Case(
        op=op.name,
        size=size_name(shapes),
        target=op.target,
        elements=counts[-1],
        min_bytes=_total(counts, op.min_bytes),
        max_peak=None if op.max_peak is None else _total(counts, op.max_peak),
        tests=op.tests,
        modes=MODES,
        setup=lambda: _setup(op, shapes),
        dtype=op.dtype,
    )


def _total(counts: list[int], each: tuple[int, ...]) -> int:
    return sum(count * bytes_each for count, bytes_each in zip(counts, each, strict=True))


def _setup(op: Op, shapes: tuple[Shape, ...]) -> Trials:
    inputs = op.inputs(*shapes)
    functions = {"fastvae": op.fastvae}
    for suffix, peer in op.peers.items():
        functions[f"eager{suffix}"] = peer
        functions[f"compile{suffix}"] = torch.compile(peer, fullgraph=True, dynamic=False)
    return {
        mode: {provider: trial(function, inputs, mode, fresh=op.fresh) for provider, function in functions.items()}
        for mode in MODES
    }


def trial(function: Function, inputs: Inputs, mode: str, *, fresh: bool = False) -> Trial:
    """The call of one function.

    Gradients are returned instead of accumulated, since the inputs stand for the outputs of a network. Backward is what
    `torch.autograd.grad` hands to the engine: its checks of its arguments, 4 us an output, are paid once a training
    step and belong to no op.

    Args:
        mode: ``"forward"`` of inputs that need a gradient, ``"backward"`` alone, or ``"both"``.
        fresh: copy the differentiable inputs off the clock.
    """

    upstream = tuple(torch.ones(()) if gradient is None else gradient for gradient in inputs.upstream)

    def arguments() -> tuple[Tensor, ...]:
        return tuple(tensor.clone() for tensor in inputs.differentiable) if fresh else inputs.differentiable

    def forward(differentiable: tuple[Tensor, ...]) -> ops.Outputs:
        return function(*differentiable, *inputs.constant)

    def backward(outputs: ops.Outputs, differentiable: tuple[Tensor, ...]) -> ops.Outputs:
        gradients: ops.Outputs = _engine_run_backward(
            outputs, upstream, False, False, differentiable, allow_unreachable=False, accumulate_grad=False
        )
        return gradients

    def both(differentiable: tuple[Tensor, ...]) -> tuple[ops.Outputs, ops.Outputs]:
        outputs = forward(differentiable)
        return outputs, backward(outputs, differentiable)

    def ready() -> tuple[ops.Outputs, tuple[Tensor, ...]]:
        differentiable = arguments()
        return forward(differentiable), differentiable

    by_mode = {
        "forward": Trial(arguments, forward),
        "backward": Trial(ready, lambda given: backward(*given)),
        "both": Trial(arguments, both),
    }
    return by_mode[mode]
