"""A call of one public function as data: which tensors, which options, which gradients and under what upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

import fastvae.functional as F
from tests.fuzz.tensors import LAYOUTS, Operand

Tensors = Mapping[str, Tensor]


class Noise(NamedTuple):
    """A source of noise other than `eps`, made anew for each call."""

    source: str
    seed: int

    def arguments(self) -> dict[str, Any]:
        if self.source == "seed":
            return {"seed": self.seed}
        if self.source == "seed tensor":
            return {"seed": torch.tensor(self.seed)}
        if self.source == "generator":
            return {"generator": torch.Generator().manual_seed(self.seed)}
        torch.manual_seed(self.seed)
        return {}

    def drawn(self) -> int:
        """The seed that a call with these arguments ends up with."""
        given = self.arguments()
        if "seed" in given:
            return self.seed
        return int(torch.randint(-(2**63), 2**63 - 1, (1,), dtype=torch.int64, generator=given.get("generator")))


class Upstream(NamedTuple):
    """The gradients that come back: one an output, none for those that are left out."""

    flavour: str = "random"
    layout: str = "contiguous"
    outputs: tuple[int, ...] = (0,)

    def like(self, output: Tensor) -> Tensor:
        fixed = {"one": 1.0, "zero": 0.0, "minus two": -2.0}
        if self.flavour in fixed:
            value = torch.full_like(output, fixed[self.flavour], memory_format=torch.contiguous_format)
        else:
            generator = torch.Generator().manual_seed(7)
            value = (0.5 + torch.rand(output.shape, generator=generator, dtype=torch.float64)).to(output.dtype)
        return LAYOUTS[self.layout](value) if value.dim() else value


class Case(NamedTuple):
    """What is called, on what, and which operands' gradients are wanted."""

    op: str
    operands: Mapping[str, Operand]
    options: Mapping[str, Any]
    wanted: tuple[str, ...] = ()
    noise: Noise | None = None
    upstream: Upstream = Upstream()

    def tensors(self) -> dict[str, Tensor]:
        return {name: operand.build() for name, operand in self.operands.items()}

    def call(self, tensors: Tensors) -> tuple[Tensor, ...]:
        """The outputs of the function on its operands by name, the two of a prior as its pair."""
        arguments: dict[str, Any] = dict(tensors)
        if "prior_mu" in arguments:
            arguments["prior"] = (arguments.pop("prior_mu"), arguments.pop("prior_scale"))
        if self.noise is not None:
            arguments |= self.noise.arguments()
        result = getattr(F, self.op)(**arguments, **self.options)
        return result if isinstance(result, tuple) else (result,)
