"""The model of one multiprocessor, on code written by hand."""

from __future__ import annotations

import pytest

from bench.proofs.sm_model import path, pipes, sass
from bench.proofs.sm_model.counts import per_element
from bench.proofs.sm_model.pipes import Kind, Pipe
from bench.proofs.sm_model.sass import Instruction

# As nvdisasm prints it: labels, guards, targets, and the 128 bits of each instruction in two lines.
LISTING = """
.text.kernel:
        /*0000*/                   LDG.E.128 R4, desc[UR4][R2.64] ;           /* 0x0000000402047981 */
                                                                              /* 0x000ea8000c1e1d00 */
        /*0010*/              @!P0 BRA `(.L_x_1) ;                            /* 0x0000000000149947 */
                                                                              /* 0x004fea0003800000 */
.L_x_0:
        /*0020*/                   FFMA R4, R4, R5, R6 ;                      /* 0x0000000504047223 */
                                                                              /* 0x000fe20000000006 */
.L_x_1:
        /*0030*/                   EXIT ;                                     /* 0x000000000000794d */
                                                                              /* 0x000fea0003800000 */
"""


def branch(target: int, guard: str = "") -> Instruction:
    return Instruction("BRA", guard, target=target)


def test_a_listing_is_read_with_its_control_codes() -> None:
    load, jump, product, end = sass.parse(LISTING)
    assert (load.name, load.modifiers, load.operands) == ("LDG", ("E", "128"), "R4, desc[UR4][R2.64]")
    assert (load.stall, load.writes, load.reads, load.waits) == (4, 2, sass.NO_BARRIER, 0)
    assert (jump.guard, jump.target, jump.waits) == ("@!P0", 3, 1 << 2)
    assert (product.opcode, product.stall) == ("FFMA", 1)
    assert end.name == "EXIT"


def test_half_an_instruction_is_refused() -> None:
    with pytest.raises(ValueError, match="upper half"):
        sass.parse("        /*0000*/   EXIT ;   /* 0x000000000000794d */")


def test_every_opcode_needs_a_row() -> None:
    with pytest.raises(ValueError, match="HGMMA"):
        pipes.classify(Instruction("HGMMA.64x64x16.F32"))


@pytest.mark.parametrize(
    ("opcode", "operands", "pipe", "kind"),
    [
        ("FFMA.FTZ", "R1, R2, R3, R4", Pipe.FMA, Kind.FP32),
        ("IMAD.HI.U32", "R1, R2, R3, RZ", Pipe.FMA_HEAVY, Kind.INTEGER),
        ("HFMA2.MMA", "R5, -RZ, RZ, 0, 0", Pipe.FMA_HEAVY, Kind.INTEGER),
        ("HFMA2.MMA", "R5, R5, R6, R7", Pipe.FMA_HEAVY, Kind.FP32),
        ("FSETP.GT.AND", "P0, PT, R1, R2, PT", Pipe.ALU, Kind.FP32),
        ("MUFU.EX2", "R1, R2", Pipe.XU, Kind.SPECIAL),
        ("SHFL.BFLY", "PT, R1, R2, 0x1, 0x1f", Pipe.LSU, Kind.MEMORY),
        ("DADD", "R2, R4, R6", Pipe.FP64, Kind.FP64),
        ("BAR.SYNC.DEFER_BLOCKING", "0x0", Pipe.CONTROL, Kind.CONTROL),
    ],
)
def test_pipes(opcode: str, operands: str, pipe: Pipe, kind: Kind) -> None:
    assert pipes.classify(Instruction(opcode, operands=operands)) == (pipe, kind)


def test_a_path_skips_what_calls_and_repeats_what_loops() -> None:
    code = [
        branch(2, "@P0"),  # over a call: a slow path
        Instruction("CALL.REL.NOINC"),
        branch(4, "@P1"),  # over nothing slow: falls through
        Instruction("FADD"),
        Instruction("FMUL"),
        branch(4, "@P2"),  # a loop
        Instruction("EXIT"),
    ]
    for passes in (1, 3):
        names = [instruction.name for instruction in path.executed(code, first=True, passes=passes)]
        assert names == ["BRA", "BRA", "FADD", *["FMUL", "BRA"] * passes, "EXIT"]


def test_only_the_first_warp_goes_on_behind_a_barrier() -> None:
    code = [Instruction("EXIT", "@P0"), Instruction("BAR"), Instruction("EXIT", "@P1"), *[Instruction("FADD")] * 5]
    code.append(Instruction("EXIT"))
    assert len(path.executed(code, first=True)) == 9
    assert len(path.executed(code, first=False)) == 3


def test_a_path_needs_an_end() -> None:
    with pytest.raises(ValueError, match="without an exit"):
        path.executed([Instruction("FADD")], first=True)


def test_counts_are_of_all_warps_and_threads() -> None:
    code = [
        Instruction("FADD"),
        Instruction("BAR"),
        Instruction("EXIT", "@P1"),
        Instruction("STG"),
        Instruction("EXIT"),
    ]
    # Four warps have 128 threads for 256 elements, and the last two instructions are of one warp in four.
    found = per_element(code, 4, 256)
    assert found == {"fp32": 0.5, "integer": 0, "special": 0, "memory": 0.125, "control": 1.125, "fp64": 0}
