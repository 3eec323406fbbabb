"""The type stubs of the extension say what the extension has."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fastvae
from fastvae import _C

STUBS = {
    node.name: node
    for node in ast.parse((Path(fastvae.__file__).parent / "_C.pyi").read_text()).body
    if isinstance(node, ast.FunctionDef)
}


def test_every_function_has_a_stub() -> None:
    assert {name for name in dir(_C) if not name.startswith("_")} == set(STUBS)


@pytest.mark.parametrize("name", STUBS)
def test_a_stub_takes_what_its_function_takes(name: str) -> None:
    signature = getattr(_C, name).__doc__.splitlines()[0]
    assert signature.count("arg") == len(STUBS[name].args.posonlyargs), signature
