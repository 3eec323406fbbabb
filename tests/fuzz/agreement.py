"""The property: a fused call and its reference agree, and the call leaves nothing else behind.

A case is tried in the layouts it has, and in others that leave its values what they are: the reference is asked once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from tests.fuzz.cases import Case
from tests.fuzz.standards import standards
from tests.fuzz.tensors import LARGE, LAYOUTS, SHARING
from tests.support.oracle import leaves

FAITHFUL = tuple(name for name in LAYOUTS if name not in SHARING)


class Found(NamedTuple):
    """The results of one call by name, and the gradients that were sent back."""

    results: dict[str, Tensor]
    upstreams: dict[int, Tensor]


class _Produced(torch.autograd.Function):
    """The same values in memory of their own and the same strides: what an op that came before would return."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        if value.is_neg():
            return LAYOUTS["negated"](value.resolve_neg())
        storage = value.untyped_storage().clone()
        return value.new_empty(0).set_(storage, value.storage_offset(), value.size(), value.stride())

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


def check(case: Case, layouts: int = 0) -> int:
    """Raise AssertionError where the case shows a fault, in its own layouts or in so many others.

    Returns:
        How many calls were compared, a call and its backward pass counting as one.
    """
    tensors = case.tensors()
    if _is_to_be_refused(case, tensors):
        _refuses(case, tensors)
        return 1
    before = {name: value.untyped_storage().clone() for name, value in tensors.items()}
    found = run(case, tensors)
    for name, value in tensors.items():
        bits = [torch.empty(0, dtype=torch.uint8).set_(storage) for storage in (value.untyped_storage(), before[name])]
        assert torch.equal(*bits), f"{name} was changed"
    expected = standards(case, tensors, found.upstreams)
    assert found.results.keys() == expected.keys()
    _hold(found, expected)
    again = _on_other_threads(case, tensors)
    for name, value in found.results.items():
        assert same(value, again.results[name]), f"{name} differs in a second call, on another number of threads"
    count = 1
    for changed, moved in _elsewhere(case, tensors, layouts):
        count += 1
        if _is_to_be_refused(changed, moved):
            _refuses(changed, moved)
            continue
        other = run(changed, moved)
        for name, value in other.results.items():
            if not same(value, found.results[name]):
                why = expected[name].why_refused(value)
                assert why is None, f"{name} in other layouts: {why}; {_described(changed, moved)}"
    return count


def run(case: Case, tensors: Mapping[str, Tensor]) -> Found:
    """Call the fused function and differentiate it."""
    operands = leaves(tensors, case.wanted)
    given = dict(operands)
    if case.options.get("inplace"):
        name = next(iter(given))
        given[name] = _Produced.apply(given[name])
    outputs = case.call(given)
    results = {f"output {index}": output.detach() for index, output in enumerate(outputs)}
    upstreams: dict[int, Tensor] = {}
    if case.wanted:
        upstreams = {index: case.upstream.like(outputs[index]) for index in case.upstream.outputs}
        kept = {index: upstream.clone() for index, upstream in upstreams.items()}
        gradients = torch.autograd.grad(
            [outputs[index] for index in upstreams], [operands[name] for name in case.wanted], list(upstreams.values()),
            allow_unused=True,
        )  # fmt: skip
        for index, upstream in upstreams.items():
            assert same(upstream, kept[index]), "an upstream gradient was changed"
        for name, gradient in zip(case.wanted, gradients, strict=True):
            results[f"gradient of {name}"] = torch.zeros_like(operands[name]) if gradient is None else gradient
    return Found(results, upstreams)


def same(one: Tensor, other: Tensor) -> bool:
    """The same bits, but that a NaN is a NaN."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if torch.equal(one, other) or not one.is_floating_point():
        return torch.equal(one, other)
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(0), other.nan_to_num(0))


def _hold(found: Found, expected: Mapping[str, object]) -> None:
    for name, value in found.results.items():
        why = expected[name].why_refused(value)
        assert why is None, f"{name}: {why}"


def _elsewhere(case: Case, tensors: Mapping[str, Tensor], count: int) -> Iterator[tuple[Case, dict[str, Tensor]]]:
    """The case with its values in other layouts, its gradients too, of which some are left out."""
    choose = random.Random(repr(case))
    for _ in range(count):
        moved = {
            name: LAYOUTS[choose.choice(FAITHFUL)](value) if value.dim() and value.dtype != torch.uint16 else value
            for name, value in tensors.items()
        }
        wanted = tuple(name for name in case.wanted if choose.random() < 0.8)
        upstream = case.upstream._replace(layout=choose.choice(FAITHFUL))
        if case.upstream.layout in SHARING:
            upstream = case.upstream
        yield case._replace(wanted=wanted, upstream=upstream), moved


def _described(case: Case, tensors: Mapping[str, Tensor]) -> str:
    strides = {name: (list(value.shape), value.stride(), value.storage_offset()) for name, value in tensors.items()}
    return f"{strides}, {case.wanted}, {case.upstream}"


def _is_to_be_refused(case: Case, tensors: Mapping[str, Tensor]) -> bool:
    """Would the gradient be written over an input of which two elements share memory, or whose sign is pending?"""
    value = next(iter(tensors.values()))
    if not case.options.get("inplace"):
        return False
    offsets = sum(
        (torch.arange(size) * stride).reshape(-1, *(1,) * (value.dim() - 1 - dim))
        for dim, (size, stride) in enumerate(zip(value.shape, value.stride(), strict=True))
    )
    return value.is_neg() or offsets.unique().numel() < value.numel()


def _refuses(case: Case, tensors: Mapping[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="inplace: got True with"):
        run(case, tensors)


def _on_other_threads(case: Case, tensors: Mapping[str, Tensor]) -> Found:
    """The same call again: on more threads, or on one, where it is large enough for that to matter."""
    threads = torch.get_num_threads()
    large = max(value.numel() for value in tensors.values()) >= LARGE
    torch.set_num_threads((1 if threads > 1 else 2) if large else threads)
    try:
        return run(case, tensors)
    finally:
        torch.set_num_threads(threads)
