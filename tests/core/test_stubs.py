"""The extension, the Triton kernels and the differentiable ops take what `fastvae._ops` declares, in its order."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import fastvae
from fastvae import _C, _ops, _triton
from fastvae._autograd._function import Op
from fastvae._autograd.importance_weighted_bound import ImportanceWeightedBound
from fastvae._autograd.log_normal import LogNormal
from fastvae._autograd.log_normal_mixture import LogNormalMixture
from fastvae._autograd.minibatch_log_densities import MinibatchLogDensities
from fastvae._autograd.negative_binomial_nll import NegativeBinomialNll
from fastvae._autograd.reparameterize_kl import ReparameterizeKl, ReparameterizeKlPacked
from fastvae._options import (
    DensityOptions,
    DiscretizedMixtureOptions,
    MinibatchOptions,
    NegativeBinomialOptions,
    Packing,
    PosteriorOptions,
    ReconstructionOptions,
    ScaleForm,
)

STUBS = {
    node.name: node
    for node in ast.parse((Path(fastvae.__file__).parent / "_C.pyi").read_text()).body
    if isinstance(node, ast.FunctionDef)
}


def test_every_function_has_a_stub() -> None:
    assert {name for name in dir(_C) if not name.startswith("_")} == set(STUBS)


OPS = [name for name, stub in STUBS.items() if stub.args.vararg]


@pytest.mark.parametrize("name", sorted(STUBS.keys() - set(OPS)))
def test_a_stub_takes_what_its_function_takes(name: str) -> None:
    signature = getattr(_C, name).__doc__.splitlines()[0]
    assert signature.count("arg") == len(STUBS[name].args.posonlyargs), signature


@pytest.mark.parametrize("name", OPS)
def test_an_op_takes_the_arguments_that_are_declared(name: str) -> None:
    arguments = inspect.signature(getattr(_ops, name)).parameters
    with pytest.raises(TypeError, match=f"got 0 arguments; takes {len(arguments)}"):
        getattr(_C, name)()


@pytest.mark.parametrize(
    "kind",
    [
        ScaleForm,
        PosteriorOptions,
        Packing,
        ReconstructionOptions,
        DensityOptions,
        DiscretizedMixtureOptions,
        MinibatchOptions,
        NegativeBinomialOptions,
    ],
)
def test_options_have_the_fields_of_their_struct(kind: type[tuple[Any, ...]]) -> None:
    assert _C.fields()[kind.__name__] == ", ".join(kind._fields)


@pytest.mark.parametrize(
    ("struct", "ops"),
    [
        ("PriorAndNoise", [name for name in OPS if name.startswith("reparameterize_kl")]),
        ("Pair", [name for name in OPS if name.startswith("reconstruction")]),
        ("Density", [name for name in OPS if "log_normal" in name or "log_densities" in name]),
        ("CountPair", ["negative_binomial_nll", "negative_binomial_nll_backward"]),
    ],
)
def test_operands_have_the_order_of_their_struct(struct: str, ops: list[str]) -> None:
    assert ops
    for name in ops:
        assert _C.fields()[struct] in ", ".join(inspect.signature(getattr(_ops, name)).parameters), name


@pytest.mark.parametrize("name", OPS)
def test_the_kernels_of_a_gpu_take_the_same_arguments(name: str) -> None:
    declared, taken = (list(inspect.signature(getattr(ops, name)).parameters) for ops in (_ops, _triton))
    assert taken == declared


@pytest.mark.parametrize(
    "op",
    [
        ReparameterizeKl,
        ReparameterizeKlPacked,
        LogNormal,
        LogNormalMixture,
        MinibatchLogDensities,
        NegativeBinomialNll,
        ImportanceWeightedBound,
    ],
)
def test_the_differentiable_op_takes_the_same_arguments(op: type[Op]) -> None:
    declared = inspect.signature(getattr(_ops, op.name)).parameters
    assert list(inspect.signature(op.forward).parameters) == list(declared)
