"""Which products and sums ptxas may contract, by a sum that tells two roundings from one."""

from __future__ import annotations

import pytest
import torch

from tests.simt.kernels import ptx
from tests.simt.machine import Machine
from tests.simt.memory import Memory

FUSED = 2.0**-24
"""(1 + 2^-12)^2 - (1 + 2^-11), which is 0 where the product is rounded."""


def total(body: str) -> float:
    x, out, memory = torch.tensor([1 + 2.0**-12, 1 + 2.0**-11]), torch.zeros(1), Memory()
    memory.give(x, "x")
    memory.give(out, "out")
    loads = "ld.global.v2.b32 {%r1, %r2}, [%rd0];"
    text = ptx(f"{loads}\n{body}\nst.global.b32 [%rd1], {{%r4}};", 2)
    Machine(text, contract=True).launch(1, [x.data_ptr(), out.data_ptr()], memory)
    return out.item()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("mul.f32 %r3, %r1, %r1; sub.f32 %r4, %r3, %r2;", FUSED),
        ("mul.f32 %r3, %r1, %r1; sub.f32 %r4, %r2, %r3;", -FUSED),
        ("neg.f32 %r2, %r2; mul.f32 %r3, %r1, %r1; add.f32 %r4, %r3, %r2;", FUSED),
        ("neg.f32 %r2, %r2; mul.f32 %r3, %r1, %r1; add.f32 %r4, %r2, %r3;", FUSED),
        ("mul.f32 %r3, %r1, %r1; mov.b32 %r1, 0; sub.f32 %r4, %r3, %r2;", 0.0),  # its operands are there no more
        ("mul.f32 %r3, %r1, %r1; mov.b32 %r3, %r2; sub.f32 %r4, %r3, %r2;", 0.0),  # nor is it
        ("mul.f32 %r3, %r1, %r1;\n$L1:\nsub.f32 %r4, %r3, %r2;", 0.0),  # others may come from elsewhere
        ("mul.rn.f32 %r3, %r1, %r1; sub.f32 %r4, %r3, %r2;", 0.0),
        ("mul.f32 %r3, %r1, %r1; sub.rn.f32 %r4, %r3, %r2;", 0.0),
        ("mul.f32 %r3, %r1, %r1; setp.eq.f32 %p1, %r1, %r1; @%p1 sub.f32 %r4, %r3, %r2;", 0.0),
    ],
)
def test_what_is_contracted(body: str, expected: float) -> None:
    assert total(body) == expected
