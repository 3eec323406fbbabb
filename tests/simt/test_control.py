"""Branches: lanes part, wait for each other and meet again."""

from __future__ import annotations

import pytest
import torch

from tests.simt.kernels import MINE, each, run
from tests.simt.memory import KernelError

STORE = each(0, 20) + "st.global.b32 [%rd20], {%r9};"


def numbers(body: str, **options: int) -> list[int]:
    out = torch.full((options.get("threads", 32) * options.get("blocks", 1),), -1, dtype=torch.int32)
    run(body, out, **options)
    return out.tolist()


def test_two_ways() -> None:
    body = MINE + "setp.lt.u32 %p1, %r0, 10; @%p1 bra $L1; mov.b32 %r9, 2; bra.uni $L2;\n$L1:\nmov.b32 %r9, 1;\n$L2:\n"
    assert numbers(body + STORE) == [1] * 10 + [2] * 22


def test_a_loop_of_as_many_rounds_as_a_lane_wants() -> None:
    body = MINE + "mov.b32 %r9, 0; mov.b32 %r8, 0;\n$L1:\nadd.s32 %r9, %r9, %r8; add.s32 %r8, %r8, 1;"
    body += "setp.le.u32 %p1, %r8, %r3; @%p1 bra $L1;\n"
    assert numbers(body + STORE, blocks=2) == [n * (n + 1) // 2 for n in range(64)]


def test_lanes_that_have_parted_exchange_values_where_they_meet_again() -> None:
    body = MINE + "mov.b32 %r8, 5; setp.lt.u32 %p1, %r0, 10; @%p1 bra $L1; mov.b32 %r8, 6;\n$L1:\n"
    assert numbers(body + "shfl.sync.bfly.b32 %r9, %r8, 31, 31, -1;" + STORE) == [6] * 22 + [5] * 10


def test_those_that_come_first_wait_for_the_others() -> None:
    """Whose way lies behind: where a compiler puts what is rarely run."""
    body = MINE + "mov.b32 %r8, 5; setp.lt.u32 %p1, %r0, 10; @%p1 bra $L2;\n$L1:\n"
    body += "shfl.sync.bfly.b32 %r9, %r8, 31, 31, -1;" + STORE + "ret;\n$L2:\nmov.b32 %r8, 6; bra.uni $L1;"
    assert numbers(body) == [5] * 22 + [6] * 10


def test_they_may_not_before() -> None:
    body = MINE + "mov.b32 %r9, 5; setp.lt.u32 %p1, %r0, 10; @%p1 bra $L1;"
    body += "shfl.sync.bfly.b32 %r9, %r0, 1, 31, -1;\n$L1:\n"
    with pytest.raises(KernelError, match="while lanes of its mask are elsewhere"):
        numbers(body + STORE)


def test_a_lane_that_returns_stores_nothing_more() -> None:
    body = MINE + "setp.lt.u32 %p1, %r0, 10; @%p1 ret; mov.b32 %r9, 3;"
    assert numbers(body + STORE) == [-1] * 10 + [3] * 22


def test_a_trap() -> None:
    with pytest.raises(KernelError, match="a trap"):
        numbers("trap;")


def test_blocks_know_their_numbers_in_any_company() -> None:
    body = MINE + "mov.u32 %r8, %nctaid.x; mad.lo.s32 %r9, %r8, 100, %r1;"
    for lanes in (32, 64, 8192):
        assert numbers(body + STORE, blocks=5, lanes=lanes) == [500 + block for block in range(5) for _ in range(32)]


def test_what_was_run_is_counted() -> None:
    body = MINE + "setp.lt.u32 %p1, %r0, 32; @%p1 bra $L1; mov.b32 %r9, 3; mov.b32 %r9, 3;\n$L1:\n"
    # One argument is loaded; the second warp runs all, the first two less, and both return.
    executed = run(body, torch.zeros(1), threads=64)
    assert executed.instructions == 2 * (1 + 4 + 2 + 1) + 2
    assert len(executed.reached) == 10
