"""The errors of implementations, in one process: the instruction set of the C++ kernels is chosen once in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple

import torch
from torch import Tensor

import fastvae
from bench.accuracy import definitions, errors
from bench.accuracy.errors import Exact, Measured, Results
from bench.accuracy.ops import DTYPES, Call, Op, evaluate, inputs
from bench.accuracy.regimes import ORDINARY

EAGER: Final = "eager"
COMPILE: Final = "compile"
INTERPRETER: Final = "interpreter"
CAPABILITIES: Final = ("default", "avx2", "avx512")
IMPLEMENTATIONS: Final = (EAGER, COMPILE, *CAPABILITIES, INTERPRETER)
DEFINED: Final = 32
"""Elements that are held to the definition in float64."""
_CHUNK: Final = 2**18
_CHUNKS: Final = 8


class Found(NamedTuple):
    """The errors of one result."""

    op: str
    dtype: str
    regime: str
    result: str
    implementation: str
    measured: Measured


def name_of(dtype: torch.dtype) -> str:
    """Without its module."""
    return str(dtype).removeprefix("torch.")


def sum_regime(op: Op) -> str:
    """The name of the regime of a long sum."""
    assert op.total is not None
    return f"sum of 2^{op.total[0].bit_length() - 1} elements"


def regimes_of(op: Op) -> list[str]:
    """The names of all its regimes, in their order."""
    return [*op.regimes, *([] if op.total is None else [sum_regime(op)])]


def measure(op: Op, implementations: Sequence[str], dtypes: Iterable[torch.dtype] = DTYPES) -> Iterator[Found]:
    """The errors of implementations in one op, all held to the same exact results."""
    calls = {implementation: _call(implementation, op) for implementation in implementations}
    for dtype in dtypes:
        if dtype == torch.float64 and op.definition is None:
            continue
        for regime, draws in op.regimes.items():
            tensors = inputs(op, draws, dtype)
            if tensors is None:
                continue
            if dtype == torch.float64:
                tensors = {name: value.flatten()[:DEFINED] for name, value in tensors.items()}
            known = exact_results(op, tensors, dtype)
            for implementation, call in calls.items():
                with backend(implementation):
                    found = evaluate(op, call, tensors)
                for result, standard in known.items():
                    measured = errors.measured(found[result], standard)
                    yield Found(op.name, name_of(dtype), regime, result, implementation, measured)
        if dtype == torch.float32 and op.total is not None:
            yield from _sum(op, implementations)


def backend(implementation: str) -> AbstractContextManager[None]:
    """The backend of an implementation."""
    if implementation == "reference":
        return fastvae.use_backend("reference")
    return fastvae.use_backend("triton") if implementation == INTERPRETER else nullcontext()


def _call(implementation: str, op: Op) -> Call:
    return op.fastvae if implementation in (*CAPABILITIES, INTERPRETER) else _peer(implementation, op.eager)


def _peer(implementation: str, call: Call) -> Call:
    if implementation == EAGER:
        return call
    torch.compiler.reset()
    return torch.compile(call, dynamic=False)  # torch.distributions breaks the graph


def exact_results(op: Op, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Exact]:
    """What an op's results in a dtype are held to: the reference in float64, and in float64 the definition."""
    wide = {name: value.double() if value.is_floating_point() else value for name, value in tensors.items()}

    def in_float64(given: Mapping[str, Tensor]) -> Results:
        with fastvae.use_backend("reference"):
            return evaluate(op, op.exact or op.fastvae, given)

    known = errors.exact(in_float64, wide, op.fixed, _result_dtypes(op, dtype))
    if dtype == torch.float64 and op.definition is not None:
        of_definition = definitions.results(op.definition, wide, op.wanted)
        known = {
            name: Exact(value, each.magnitude) for (name, each), value in zip(known.items(), of_definition, strict=True)
        }
    # Where the value of an element is none of its dtype, nothing is asked of its gradients either.
    value = known[op.outputs[-1]].magnitude
    return {
        name: each._replace(magnitude=torch.where(value.isfinite(), each.magnitude, torch.inf))
        if each.value.shape == value.shape
        else each
        for name, each in known.items()
    }


def _result_dtypes(op: Op, dtype: torch.dtype) -> dict[str, torch.dtype]:
    loss = torch.float64 if dtype == torch.float64 else torch.float32
    of_inputs = {"z", *(f"d {name}" for name in op.wanted)}
    return {name: dtype if name in of_inputs else loss for name in (*op.outputs, *of_inputs)}


def _sum(op: Op, implementations: Sequence[str]) -> Iterator[Found]:
    """A sum of millions of float32 elements, some of them again and again; the exact one of chunks in float64."""
    assert op.total is not None
    size, fused = op.total
    chunked = op._replace(shape=(1024, _CHUNK // 1024))
    chunks, total = [], torch.zeros((), dtype=torch.float64)
    for seed in range(_CHUNKS):
        drawn = inputs(chunked, op.regimes[ORDINARY], torch.float32, seed)
        assert drawn is not None
        chunks.append(drawn)
        with fastvae.use_backend("reference"):
            total += _alone(op.fastvae(**{name: value.double() for name, value in drawn.items()})).sum()
    times = size // (_CHUNK * _CHUNKS)
    tensors = {name: torch.cat([chunk[name] for chunk in chunks] * times) for name in chunks[0]}
    known = errors.held(times * total, times * total.abs(), torch.float32)
    for implementation in implementations:
        if implementation == INTERPRETER:  # takes minutes
            continue
        call = fused if implementation in CAPABILITIES else _peer(implementation, _summed(op.eager))
        measured = errors.measured(_alone(call(**tensors)), known)
        yield Found(op.name, "float32", sum_regime(op), "value", implementation, measured)


def _summed(call: Call) -> Call:
    return lambda **tensors: _alone(call(**tensors)).sum()


def _alone(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    assert isinstance(outputs, Tensor)
    return outputs
