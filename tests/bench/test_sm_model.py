"""The model of one multiprocessor, on code written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import compile_report
from bench.proofs.sm_model import lanes, pipes, report, requirements, results, sass
from bench.proofs.sm_model.kernels import KINDS, Compiled, Prediction
from bench.proofs.sm_model.machine import MACHINES, resident
from bench.proofs.sm_model.path import Paths, paths
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
H100 = MACHINES["H100"]
EXIT = Instruction("EXIT")
# What makes an address differ from lane to lane: the thread's number, times 16 bytes, onto a pointer.
ADDRESS = (
    Instruction("S2R", operands="R0, SR_TID.X", writes=0),
    Instruction("IMAD.WIDE", operands="R2, R0, 0x10, R6", waits=1),
)


def branch(target: int, guard: str = "") -> Instruction:
    return Instruction("BRA", guard, target=target)


def cycles(code: list[Instruction], elements: float, *, machine: str = "H100", registers: int = 32) -> float:
    """An element, of blocks of four warps."""
    whole = [*code, EXIT]
    return Compiled(Paths(whole, whole), registers, 0, 4, elements).cycles(MACHINES[machine])


class TestListing:
    def test_instructions_have_their_control_codes(self) -> None:
        load, jump, product, end = sass.parse(LISTING)
        assert (load.name, load.modifiers, load.operands) == ("LDG", ("E", "128"), "R4, desc[UR4][R2.64]")
        assert (load.stall, load.writes, load.reads, load.waits) == (4, 2, sass.NO_BARRIER, 0)
        assert (jump.guard, jump.target, jump.waits) == ("@!P0", 3, 1 << 2)
        assert (product.opcode, product.stall, product.address) == ("FFMA", 1, 0x20)
        assert end.name == "EXIT"

    def test_half_an_instruction_is_refused(self) -> None:
        with pytest.raises(ValueError, match="upper half"):
            sass.parse("        /*0000*/   EXIT ;   /* 0x000000000000794d */")


class TestPipes:
    def test_every_opcode_needs_a_row(self) -> None:
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
    def test_an_opcode_has_a_pipe_and_a_kind(self, opcode: str, operands: str, pipe: Pipe, kind: Kind) -> None:
        assert pipes.classify(Instruction(opcode, operands=operands)) == (pipe, kind)


class TestPaths:
    def test_what_calls_is_skipped_and_what_loops_repeated(self) -> None:
        code = [
            branch(2, "@P0"),  # over a call: a slow path
            Instruction("CALL.REL.NOINC"),
            branch(4, "@P1"),  # over nothing slow: falls through
            Instruction("FADD"),
            Instruction("FMUL"),
            branch(4, "@P2"),  # a loop
            EXIT,
        ]
        for passes in (1, 3):
            names = [instruction.name for instruction in paths(code, passes=passes).first]
            assert names == ["BRA", "BRA", "FADD", *["FMUL", "BRA"] * passes, "EXIT"]

    def test_a_loop_that_is_left_from_within_ends(self) -> None:
        code = [branch(3, "@P0"), Instruction("FADD"), branch(0), EXIT]
        assert [step.name for step in paths(code, passes=2).first] == ["BRA", "FADD", "BRA"] * 2 + ["EXIT"]

    def test_one_warp_stores_what_the_block_has_in_common(self) -> None:
        store = Instruction("STG.E", operands="desc[UR4][R8.64], R9")
        code = [*ADDRESS, Instruction("BAR"), Instruction("EXIT", "@P1"), store, EXIT]
        first, others = paths(code)
        assert (len(first), len(others)) == (6, 4)

    def test_all_warps_store_what_is_their_own(self) -> None:
        store = Instruction("STG.E.128", operands="desc[UR4][R2.64], R8")
        code = [*ADDRESS, Instruction("BAR"), Instruction("EXIT", "@P1"), store, EXIT]
        assert paths(code).others == code

    def test_an_end_is_needed(self) -> None:
        with pytest.raises(ValueError, match="without an exit"):
            paths([Instruction("FADD")])


class TestMovedBytes:
    def test_of_a_warp_where_lanes_have_addresses_of_their_own(self) -> None:
        load = Instruction("LDG.E.128", operands="R8, desc[UR4][R2.64]")
        same = Instruction("LDG.E", operands="R9, desc[UR4][R6.64]")
        byte = Instruction("STG.E.U8", operands="desc[UR4][R2.64], R9")
        assert lanes.moved_bytes([load, *ADDRESS, load, same, byte]) == [0, 0, 0, 512, 0, 32]

    def test_a_register_that_is_written_again_is_what_was_written(self) -> None:
        load = Instruction("LDG.E", operands="R8, desc[UR4][R2.64]")
        for guard, moved in (("", 0), ("@P0", 128)):
            again = Instruction("MOV", guard, operands="R2, c[0x0][0x210]")
            assert lanes.moved_bytes([*ADDRESS, again, load])[-1] == moved


def test_instructions_are_counted_of_all_warps_and_threads() -> None:
    store = Instruction("STG", operands="desc[UR4][R8.64], R9")
    code = [Instruction("FADD"), Instruction("BAR"), Instruction("EXIT", "@P1"), store, EXIT]
    # Four warps have 128 threads for 256 elements, and the last two instructions are of one warp in four.
    found = Compiled(paths(code), 32, 0, 4, 256).per_element
    assert found == {"fp32": 0.5, "integer": 0, "special": 0, "memory": 0.125, "control": 1.125, "fp64": 0}


@pytest.mark.parametrize(
    ("registers", "warps", "shared", "blocks"),
    [(32, 4, 0, 16), (56, 4, 16, 9), (255, 4, 0, 2), (16, 1, 0, 32), (32, 4, 116_000, 1)],
)
def test_resident_blocks(registers: int, warps: int, shared: int, blocks: int) -> None:
    assert resident(H100, registers, warps, shared) == blocks


class TestCycles:
    # Four schedulers issue for 32 threads each: 128 instructions a cycle where nothing else is in the way. A block of
    # 128 threads and one element each takes so many cycles as a warp has instructions.
    @pytest.mark.parametrize(
        ("opcode", "machine", "busy"),
        [
            ("FFMA", "H100", 1),  # both halves of the pipe
            ("FFMA", "A100", 2),  # has one
            ("IMAD", "H100", 2),
            ("ISETP", "H100", 2),
            ("MUFU", "H100", 8),
            ("DFMA", "H100", 2),
            ("DFMA", "A100", 4),
        ],
    )
    def test_of_one_pipe_are_its_own(self, opcode: str, machine: str, busy: int) -> None:
        found = cycles([Instruction(opcode, operands="R1, R2")] * 100, 128, machine=machine)
        assert found * 128 == pytest.approx(100 * busy, rel=0.02)

    def test_of_two_pipes_overlap(self) -> None:
        code = [Instruction("IADD3", operands="R1, R2"), Instruction("IMAD", operands="R3, R4")] * 100
        assert cycles(code, 128) * 128 == pytest.approx(200, rel=0.03)

    def test_a_dependence_is_waited_for_where_one_warp_is_alone(self) -> None:
        # 255 registers leave room for two blocks: two warps a scheduler, each ready every tenth cycle.
        code = [Instruction("FFMA", operands="R1, R1", stall=10)] * 800
        assert cycles(code, 128, registers=255) * 128 == pytest.approx(4000, rel=0.03)

    @pytest.mark.parametrize("machine", MACHINES)
    def test_of_loads_are_those_of_the_memory(self, machine: str) -> None:
        load = Instruction("LDG.E.128", operands="R8, desc[UR4][R2.64]")
        # Eight loads of 512 bytes by each of four warps.
        moved = 4 * 8 * 512
        found = cycles([*ADDRESS, *[load] * 8], moved, machine=machine)
        assert found == pytest.approx(1 / MACHINES[machine].bytes_per_cycle, rel=0.01)

    def test_latency_shows_where_too_little_is_under_way(self) -> None:
        load = Instruction("LDG.E", operands="R8, desc[UR4][R2.64]", writes=0)
        use = Instruction("FADD", operands="R8, R8", waits=1)
        # Two blocks of four warps have 1 KiB under way, and wait for it four times.
        found = cycles([*ADDRESS, *[load, use] * 4], 1, registers=255)
        assert found > 4 * H100.memory_latency / 2
        assert found < 4 * H100.memory_latency

    def test_a_new_line_of_instructions_costs_a_cycle_once(self) -> None:
        line = [Instruction("FFMA", operands="R1, R2", address=16 * number) for number in range(320)]
        assert cycles(line, 128) * 128 == pytest.approx(320 + 320 / 8, rel=0.03)
        assert cycles(line[:32] * 10, 128) * 128 == pytest.approx(320, rel=0.03)

    def test_a_barrier_gathers_the_warps_of_a_block(self) -> None:
        slow = [Instruction("MUFU", operands="R1, R2")] * 64
        first, others = [*slow, Instruction("BAR"), EXIT], [Instruction("BAR"), *slow, EXIT]
        # One warp computes for 512 cycles, then the others do; shared memory leaves room for one block.
        assert Compiled(Paths(first, others), 32, 200_000, 4, 1).cycles(H100) > 2 * 512


def test_what_must_hold_is_said_and_what_holds_is_not() -> None:
    def prediction(kernel: str, instructions: float) -> Prediction:
        kinds = dict.fromkeys(KINDS, 0.0) | {"fp32": instructions}
        return Prediction("fastvae", kernel, "sm_90", kinds, 12, {"H100": 1.0})

    assert requirements.limit("bce_logits bfloat16 uint8 target forward") == (45, 30)
    assert requirements.limit("mse float32 forward") is None
    lines = list(
        report.counts(
            [prediction("bce_logits float32 forward", instructions) for instructions in (45.1, 45, 28)]
            + [prediction("mse float32 forward", 1000)]
        )
    )
    assert [line.rpartition("0.0")[2].strip() for line in lines[1:]] == ["MUST BE 45", "goal 28", "", ""]


def test_predictions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / results.FILE
    for commit, cycles_of_h100 in (("old", 2.0), ("new", 1.0)):
        kinds = dict.fromkeys(KINDS, 0.5)
        found = Prediction("fastvae", "mse float32 forward", "sm_90", kinds, 12, {"H100": cycles_of_h100, "H200": 0.5})
        results.append(path, [found], commit)
    rows = results.load(path)
    assert [(row.commit, row.gpu, row.cycles) for row in rows] == [
        ("old", "H100", 2), ("old", "H200", 0.5), ("new", "H100", 1), ("new", "H200", 0.5),
    ]  # fmt: skip
    assert rows[0].instructions == 3
    assert [row.commit for row in results.newest(rows)] == ["new", "new"]
    assert [row.cycles for row in results.newest(rows, "old")] == [2, 0.5]


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ("--count --target gfx942", "--target: got gfx942"),
        ("--json --model", "--json"),
        ("--model --target sm_90", "--model"),
        ("--count --csv x.csv", "--csv"),
        ("--count --commit abc", "--commit"),
    ],
)
def test_options_that_would_be_ignored_are_refused(options: str, refused: str) -> None:
    result = CliRunner().invoke(compile_report.main, options.split())
    assert result.exit_code == 2
    assert f"Error: {refused}" in result.output


def test_the_report_counts_predicts_and_keeps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kinds = dict.fromkeys(KINDS, 10.0)
    cycles_of = {"fastvae": 2.0, "inductor": 3.0}
    found = [
        Prediction(provider, "mse float32 forward", target, kinds, 12, {machine.name: of_kernel})
        for provider, of_kernel in cycles_of.items()
        for target in report.TARGETS
        for machine in MACHINES.values()
        if machine.target == target
    ]
    monkeypatch.setattr(report, "predict", lambda only: found)
    path = tmp_path / results.FILE
    output = CliRunner().invoke(compile_report.main, ["--model", "--csv", str(path), "--commit", "abc"]).output
    assert "mse float32 forward   60.0" in output
    assert f"12.00{12 / 2 / MACHINES['A100'].bytes_per_cycle:7.2f}" in output
    assert output.count("1.50        -   1.50") == len(MACHINES)
    assert {row.commit for row in results.load(path)} == {"abc"}
