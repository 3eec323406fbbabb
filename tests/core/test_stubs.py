"""The type stubs of the extension say what the extension has."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

import fastvae
from fastvae import _C

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
def test_an_op_takes_the_arguments_of_its_schema(name: str) -> None:
    arguments = getattr(torch.ops.fastvae, name).default._schema.arguments
    with pytest.raises(TypeError, match=f"got 0 arguments; takes {len(arguments)}"):
        getattr(_C, name)()
