"""What the lanes of a warp exchange."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.simt.kernels import MINE, each, run

LANES = list(range(32))


def lanes(body: str, threads: int = 64, shared: int = 0) -> list[int]:
    """%r9 of the first warp; the second one has the same, 100 higher where `shifted` says so."""
    out = torch.full((threads,), -1, dtype=torch.int32)
    run(MINE + "and.b32 %r4, %r0, 31;" + body + each(0, 20) + "st.global.b32 [%rd20], {%r9};", out,
        threads=threads, shared=shared)  # fmt: skip
    assert torch.equal(out[:32], out[-32:])
    return out[:32].tolist()


@pytest.mark.parametrize(
    ("mode", "by", "limits", "source"),
    [
        ("bfly", 16, 31, lambda lane: lane ^ 16),
        ("up", 3, 0, lambda lane: max(lane - 3, lane if lane < 3 else 0)),
        ("down", 3, 31, lambda lane: lane + 3 if lane < 29 else lane),
        ("idx", 5, 31, lambda lane: 5),
        # In segments of eight lanes: the mask is 24, the upper byte.
        ("idx", 5, 0x181F, lambda lane: lane // 8 * 8 + 5),
        ("up", 1, 0x1800, lambda lane: lane - 1 if lane % 8 else lane),
        ("down", 4, 0x181F, lambda lane: lane + 4 if lane % 8 < 4 else lane),
    ],
)
def test_shuffles(mode: str, by: int, limits: int, source: object) -> None:
    found = lanes(f"mul.lo.s32 %r8, %r4, 3; shfl.sync.{mode}.b32 %r9, %r8, {by}, {limits}, -1;")
    assert found == [3 * source(lane) for lane in LANES]  # type: ignore[operator]


def test_a_shuffle_says_which_lanes_are_in_range() -> None:
    found = lanes("shfl.sync.down.b32 %r8|%p1, %r4, 3, 31, -1; selp.b32 %r9, 1, 0, %p1;")
    assert found == [1] * 29 + [0] * 3


def test_a_lane_asks_by_its_own_number() -> None:
    found = lanes("sub.s32 %r8, 31, %r4; shfl.sync.idx.b32 %r9, %r4, %r8, 31, -1;")
    assert found == LANES[::-1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("vote.sync.ballot.b32 %r9, %p1, -1;", 0b11111),
        ("vote.sync.any.pred %p2, %p1, -1; selp.b32 %r9, 1, 0, %p2;", 1),
        ("vote.sync.all.pred %p2, %p1, -1; selp.b32 %r9, 1, 0, %p2;", 0),
        ("vote.sync.uni.pred %p2, !%p1, -1; selp.b32 %r9, 1, 0, %p2;", 0),
        ("redux.sync.add.s32 %r9, %r4, -1;", 496),
        ("redux.sync.max.s32 %r9, %r4, -1;", 31),
        ("redux.sync.min.u32 %r9, %r4, -1;", 0),
        ("redux.sync.or.b32 %r9, %r4, -1;", 31),
    ],
)
def test_votes_and_reductions(body: str, expected: int) -> None:
    assert lanes("setp.lt.u32 %p1, %r4, 5;" + body) == [expected] * 32


def matrix_kernel(transposed: str, direction: str) -> np.ndarray:
    """Sixteen bits of each element of four matrices of 8 x 8, as the lanes hold or store them."""
    rows = """
    mov.b32 %r5, dynamic;
    mad.lo.s32 %r6, %r4, 16, %r5;
    """
    if direction == "load":
        # Lane by lane a row of eight, numbered on.
        fill = "".join(
            f"mad.lo.s32 %r10, %r4, 8, {2 * pair}; add.s32 %r11, %r10, 1; shl.b32 %r11, %r11, 16;"
            f"or.b32 %r10, %r10, %r11; st.shared.b32 [%r6+{4 * pair}], %r10;"
            for pair in range(4)
        )
        body = rows + fill + f"bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x4{transposed}.shared.b16 "
        body += "{%r12, %r13, %r14, %r15}, [%r6];"
    else:
        fill = "".join(
            f"mad.lo.s32 %r10, %r4, 2, {64 * matrix}; add.s32 %r11, %r10, 1; shl.b32 %r11, %r11, 16;"
            f"or.b32 %r{12 + matrix}, %r10, %r11;"
            for matrix in range(4)
        )
        body = rows + fill + f"stmatrix.sync.aligned.m8n8.x4{transposed}.shared.b16 [%r6], "
        body += "{%r12, %r13, %r14, %r15}; bar.warp.sync -1;"
        body += "".join(f"ld.shared.b32 %r{12 + pair}, [%r6+{4 * pair}];" for pair in range(4))
    out = torch.zeros(32, 4, dtype=torch.int32)
    store = each(0, 20, 16) + "st.global.v4.b32 [%rd20], {%r12, %r13, %r14, %r15};"
    run(MINE + "and.b32 %r4, %r0, 31;" + body + store, out, shared=512)
    return out.numpy().view(np.uint16).reshape(32, 4, 2)


@pytest.mark.parametrize("transposed", ["", ".trans"])
def test_a_lane_holds_two_neighbours_of_a_row_of_each_matrix(transposed: str) -> None:
    elements = np.arange(256).reshape(4, 8, 8)
    held = matrix_kernel(transposed, "load")
    for lane in LANES:
        row, column = lane // 4, 2 * (lane % 4)
        mine = elements[:, column : column + 2, row] if transposed else elements[:, row, column : column + 2]
        np.testing.assert_array_equal(held[lane], mine)


@pytest.mark.parametrize("transposed", ["", ".trans"])
def test_a_lane_gives_two_neighbours_of_a_row_of_each_matrix(transposed: str) -> None:
    rows = matrix_kernel(transposed, "store").reshape(4, 8, 8)
    for lane in LANES:
        row, column = lane // 4, 2 * (lane % 4)
        for matrix in range(4):
            mine = 64 * matrix + 2 * lane + np.arange(2)
            there = rows[matrix, column : column + 2, row] if transposed else rows[matrix, row, column : column + 2]
            np.testing.assert_array_equal(there, mine)


@pytest.mark.parametrize(
    ("operation", "start", "argument", "expected"),
    [
        ("add.u32", 5, "%r4", 5 + 496),
        ("max.s32", -3, "%r4", 31),
        ("min.u32", 9, "%r4", 0),
        ("or.b32", 0, "%r4", 31),
        ("exch.b32", 0, "%r4", 31),
        ("inc.u32", 0, "19", 32 % 20),
        ("dec.u32", 3, "9", (3 - 32) % 10),
    ],
)
def test_atomics(operation: str, start: int, argument: str, expected: int) -> None:
    counter = torch.tensor([start], dtype=torch.int32)
    run(MINE + f"and.b32 %r4, %r0, 31; atom.global.gpu.relaxed.{operation} %r9, [%rd0], {argument};", counter)
    assert counter.item() == expected


def test_each_lane_gets_what_was_there_before_its_own() -> None:
    out, counter = torch.zeros(64, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
    body = MINE + each(0, 20) + "atom.global.gpu.acq_rel.add.u32 %r9, [%rd1 + 0], 1; st.global.b32 [%rd20], {%r9};"
    run(body, out, counter, blocks=2)
    assert sorted(out.tolist()) == list(range(64))


def test_compare_and_swap() -> None:
    value = torch.tensor([7], dtype=torch.int32)
    run(MINE + "setp.eq.b32 %p1, %r0, 0; @%p1 atom.global.cas.b32 %r9, [%rd0], 7, 9;", value)
    assert value.item() == 9
