"""PTX as it is read."""

from __future__ import annotations

import pytest

from tests.simt.program import parse

TEXT = """
.version 8.7
.file 1 "/somewhere/kernel.py"
.extern .shared .align 16 .b8 dynamic[];
.shared .align 4 .f32 fixed[10];
.visible .entry kernel(
    .param .u64 .ptr .global .align 1 kernel_param_0,
    .param .u32 kernel_param_1
)
.reqntid 64
.maxnreg 128
{
    .reg .pred %p<3>;  // three of them
    .reg .b32 %r<4>, %s;
    .loc 1 7 2
    mov.u32 %r1, %tid.x;
$L__BB0_1:
    @!%p1 ld.global.L1::evict_last.v2.b32 { %r1, %r2 }, [ %s + 8 ];
    { .reg .b32 tmp; mov.b32 tmp, %r1;
      mov.b32 %r2, tmp; }
    { .reg .b32 tmp; mov.b32 tmp, 0; }
    .pragma "nounroll";
    @%p2 bra $L__BB0_1;
    ret;
}
    .section .debug_info { .b8 1 }
"""


def test_a_kernel() -> None:
    program = parse(TEXT)
    assert (program.name, program.threads) == ("kernel", 64)
    assert program.parameters == {"kernel_param_0": 64, "kernel_param_1": 32}
    assert program.shared == {"dynamic": 0, "fixed": 40}
    assert program.labels == {"$L__BB0_1": 1}
    assert program.registers["%p2"] == 1
    assert program.registers["%s"] == 32
    load = program.instructions[1]
    assert load.opcode == ("ld", "global", "L1:evict_last", "v2", "b32")
    assert load.operands == ("{ %r1, %r2 }", "[ %s + 8 ]")
    assert (load.guard, load.negated, load.source) == ("%p1", True, "kernel.py:7")
    assert [one.opcode[0] for one in program.instructions[-2:]] == ["bra", "ret"]


def test_a_register_of_a_block_is_its_own() -> None:
    moves = parse(TEXT).instructions[2:5]
    names = [moves[0].operands[0], moves[1].operands[1], moves[2].operands[0]]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("text", ["int main() {}", TEXT.partition("ret;")[0]])
def test_what_is_no_ptx(text: str) -> None:
    with pytest.raises(ValueError, match="takes PTX"):
        parse(text)
