"""A training step as one CUDA graph: a single launch in place of a hundred.

At the sizes of MNIST a GPU is through with a kernel before Python has launched the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import torch
from torch import Tensor

from fastvae.train.loop.step import Step
from fastvae.train.runs import random

# As PyTorch's documentation of CUDA graphs has it: kernels are compiled and libraries set up before a capture.
_WARM_UP: Final = 3


class Graph(Protocol):
    """Work on the device, recorded once and repeated on the same memory."""

    def capture(self, work: Callable[[], None]) -> None:
        """Record `work`, which runs a few times on the way."""

    def replay(self) -> None:
        """Repeat what was recorded."""


class CudaGraph:
    """A `Graph` on the current CUDA device.

    Torch's default generator is registered with it: each replay draws the numbers that the work itself would have
    drawn, and leaves the generator where the work would have left it.
    """

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def capture(self, work: Callable[[], None]) -> None:
        """Warm up and record on one stream, not the default one: autograd remembers the stream of a leaf."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(self._graph, stream=stream):
            work()

    def replay(self) -> None:
        """Launch the graph on the current stream."""
        self._graph.replay()


class GraphedStep:
    """A step whose batches of `batch_size` replay one graph; any other, the last of an epoch, runs as it is.

    A graph for the last batch would save one run of launches an epoch, and hold a second set of activations throughout.

    The graph is captured at the first full batch. Capturing leaves no trace in the state of the step, nor in torch's
    generators: a run that is resumed, and captures at another step, ends with the same bits.
    """

    def __init__(self, step: Step, batch_size: int, graph: Graph) -> None:
        self._step = step
        self._batch_size = batch_size
        self._graph = graph
        # What the graph reads; there from the first full batch on.
        self._held: tuple[Tensor, ...] | None = None

    def __call__(self, *batch: Tensor, total: int | None = None) -> None:
        """Train on a batch, as `fastvae.train.loop.step.Step` does."""
        if len(batch[0]) != self._batch_size:
            self._step(*batch, total=total)
            return
        if self._held is None:
            self._held = self._captured(batch)
        for held, given in zip(self._held, batch, strict=True):
            held.copy_(given)
        self._graph.replay()

    def _captured(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Capture the step on a copy of `batch`; returns the copy."""
        held = tuple(tensor.clone() for tensor in batch)
        with _without_trace(self._step):
            self._graph.capture(lambda: self._step(*held))
        return held


@contextmanager
def _without_trace(step: Step) -> Iterator[None]:
    """Put back, in place, what steps inside the block change. Adam's state, where it is new, goes back to zeros."""
    before = {tensor: tensor.detach().clone() for tensor in step.state()}
    generators = random.state(step.device)
    yield
    with torch.no_grad():
        for tensor in step.state():
            if tensor in before:
                tensor.copy_(before[tensor])
            else:
                tensor.zero_()
    random.restore(generators, step.device)
