"""The calls that are timed: forward and backward of one op, by provider."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.calls import trial
from bench.gpu.device import Device
from bench.ops import Function, Inputs, Op

Call = Callable[[], object]
_WARM_UP = 3


def functions(op: Op, device: Device) -> dict[str, Function]:
    """fastvae and its peers."""
    peer = op.peers[""]
    return {
        "fastvae": op.fastvae,
        "eager": peer,
        "compile": torch.compile(peer, fullgraph=True, dynamic=False, backend=device.compiler),
    }


def call(function: Function, inputs: Inputs, mode: str) -> Call:
    """One pass over inputs that stay where they are; see `bench.calls.trial`."""
    outputs = function(*inputs.differentiable, *inputs.constant)
    one = trial(function, inputs._replace(upstream=inputs.upstream_of(outputs)), mode)
    return lambda: one.timed(one.prepare())


def captured(call: Call) -> Call:
    """The replay of a CUDA graph of one call, whose results stay in the memory of the graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def copy(bytes_moved: int, device: Device) -> Call:
    """A copy that reads and writes so many bytes together: what the bandwidth of memory is taken from."""
    source = torch.randint(0, 256, (max(bytes_moved // 2, 1),), dtype=torch.uint8, device=device.name)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)
