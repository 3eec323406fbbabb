"""Arguments that no function takes, put into calls that are right otherwise."""

from __future__ import annotations

import inspect
import math
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

import fastvae
import fastvae.functional as F
from tests.fuzz.cases import Case

OBJECTS: Final[dict[str, Any]] = {
    "None": None, "a word": "word", "no word": "", "a float": 1.5, "NaN": math.nan, "infinity": math.inf, "zero": 0,
    "minus one": -1, "true": True, "a large int": 2**70, "beyond floats": 10**400, "the least int64": -(2**63),
    "2**63": 2**63, "a list": [1, 2], "a pair": (0, 1), "a tuple of words": ("sum",), "a dict": {},
    "an object": object(), "complex": 1j, "a numpy int": np.int64(1), "a numpy float": np.float32(0.5),
    "an array": np.zeros(2), "words": np.array(["sum", "mean"]), "a 0-dim tensor": torch.tensor(0.5),
    "a tensor": torch.zeros(3),
    "an int tensor": torch.tensor(1), "a complex tensor": torch.zeros(2, 3, dtype=torch.complex64),
    "a tensor elsewhere": torch.zeros(2, 3, device="meta"), "an empty tensor": torch.zeros(0),
    "a generator": torch.Generator(), "a dtype": torch.float32, "a pair of tensors": (torch.zeros(1), torch.zeros(1)),
}  # fmt: skip


class Mistake(NamedTuple):
    """A case, and the argument that is replaced by one of OBJECTS."""

    case: Case
    argument: str
    given: str


@st.composite
def mistakes(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Mistake:
    """Any argument of the function, whether the case gives it or not."""
    case = draw(cases)
    names = tuple(inspect.signature(getattr(F, case.op)).parameters)
    return Mistake(case, draw(st.sampled_from(names)), draw(st.sampled_from(tuple(OBJECTS))))


def check(mistake: Mistake) -> bool:
    """The call raises TypeError or ValueError and names the argument, on every backend alike; or it is none, and runs.

    Returns:
        Whether it was refused.
    """
    found = {backend: _outcome(mistake, backend) for backend in ("auto", "reference")}
    first, second = found.values()
    known = inspect.signature(getattr(F, mistake.case.op)).parameters
    # The permission to write over the input is one that the reference has no use for.
    overwrites = first is not None and first[1].startswith("inplace: got True")
    assert (first is None) == (second is None) or overwrites, found
    for outcome in (first, second):
        if outcome is None:
            continue
        kind, message = outcome
        assert kind in (TypeError, ValueError), f"{kind.__name__}: {message}"
        named, _, rest = message.partition(": got ")
        assert all(name.split("[")[0] in known for name in named.split(", ")), message
        assert "takes " in rest, message
    return first is not None


def _outcome(mistake: Mistake, backend: str) -> tuple[type[Exception], str] | None:
    case, tensors = mistake.case, mistake.case.tensors()
    arguments: dict[str, Any] = {**tensors, **case.options}
    if "prior_mu" in arguments:
        arguments["prior"] = (arguments.pop("prior_mu"), arguments.pop("prior_scale"))
    if case.noise is not None:
        arguments |= case.noise.arguments()
    arguments[mistake.argument] = OBJECTS[mistake.given]
    with fastvae.use_backend(backend):  # type: ignore[arg-type]
        try:
            result = getattr(F, case.op)(**arguments)
        except Exception as error:
            return type(error), str(error)
    assert all(isinstance(value, Tensor) for value in (result if isinstance(result, tuple) else (result,)))
    return None
