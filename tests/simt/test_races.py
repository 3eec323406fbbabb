"""Threads that touch one byte: what is a race, and what orders them."""

from __future__ import annotations

import pytest
import torch

from tests.simt.kernels import MINE, each, run
from tests.simt.memory import KernelError

# Each of 64 threads, two warps, leaves its number and reads that of its neighbour in the other warp.
NEIGHBOURS = (
    MINE
    + """
    mov.b32 %r4, dynamic;
    mad.lo.s32 %r5, %r0, 4, %r4;
    st.shared.b32 [%r5], %r0;
    {between}
    xor.b32 %r6, %r0, {distance};
    mad.lo.s32 %r7, %r6, 4, %r4;
    ld.shared.b32 %r8, [%r7];
    """
    + each(0, 20)
    + "st.global.b32 [%rd20], {{%r8}};"
)


def out(count: int) -> torch.Tensor:
    return torch.full((count,), -1, dtype=torch.int32)


def neighbours(between: str, distance: int) -> list[int]:
    found = out(128)
    run(NEIGHBOURS.format(between=between, distance=distance), found, threads=64, blocks=2, shared=256)
    assert torch.equal(found[:64], found[64:])
    return found[:64].tolist()


def test_a_barrier_orders_a_block() -> None:
    assert neighbours("bar.sync 0;", 32) == [thread ^ 32 for thread in range(64)]


def test_without_it_there_is_a_race() -> None:
    with pytest.raises(KernelError, match="read without a barrier after another thread wrote it"):
        neighbours("", 32)


def test_a_barrier_of_a_warp_orders_a_warp_alone() -> None:
    assert neighbours("bar.warp.sync -1;", 1) == [thread ^ 1 for thread in range(64)]
    with pytest.raises(KernelError, match="read without a barrier"):
        neighbours("bar.warp.sync -1;", 32)


def test_a_store_after_anothers_load_is_a_race_too() -> None:
    body = NEIGHBOURS.format(between="bar.sync 0;", distance=32) + "{} st.shared.b32 [%r5], %r8;"
    run(body.replace("{}", "bar.sync 0;"), out(64), threads=64, shared=256)
    with pytest.raises(KernelError, match="written without a barrier after another thread's access"):
        run(body.replace("{}", ""), out(64), threads=64, shared=256)


def test_a_store_after_the_loads_of_several() -> None:
    body = """
    mov.b32 %r4, dynamic;
    setp.eq.b32 %p1, %r0, 0;
    @%p1 st.shared.b32 [%r4], 5;
    bar.sync 0;
    ld.shared.b32 %r8, [%r4];
    {}
    @%p1 st.shared.b32 [%r4], 6;
    """
    run(MINE + body.replace("{}", "bar.sync 0;"), threads=64, shared=4)
    with pytest.raises(KernelError, match="written without a barrier"):
        run(MINE + body.replace("{}", ""), threads=64, shared=4)


@pytest.mark.parametrize("value", ["7", "%r0"])
def test_two_stores_at_once_are_a_race_if_they_differ(value: str) -> None:
    body = MINE + f"mov.b32 %r4, dynamic; st.shared.b32 [%r4], {value};"
    if value == "7":
        run(body, shared=4)
    else:
        with pytest.raises(KernelError, match="written by two threads at once, differently"):
            run(body, shared=4)


def test_shared_memory_holds_nothing_in_the_beginning() -> None:
    with pytest.raises(KernelError, match="is read and was never written"):
        run("mov.b32 %r4, dynamic; ld.shared.b32 %r8, [%r4];", shared=4)


def test_beyond_shared_memory() -> None:
    with pytest.raises(KernelError, match="of the 8 of shared memory is out of bounds"):
        run("mov.b32 %r4, dynamic; st.shared.b32 [%r4+8], 1;", shared=8, blocks=2)


def test_a_barrier_that_some_never_reach() -> None:
    body = MINE + "setp.lt.u32 %p1, %r0, 32; @%p1 bra $L1; bar.sync 0;\n$L1:\n"
    with pytest.raises(KernelError, match="wait at a barrier that others never reach"):
        run(body, threads=64)


def test_two_barriers_are_not_one() -> None:
    body = MINE + "setp.lt.u32 %p1, %r0, 32; @%p1 bra $L1; bar.sync 0; bra.uni $L2;\n$L1:\nbar.sync 0;\n$L2:\n"
    with pytest.raises(KernelError, match="wait at a barrier that others never reach"):
        run(body, threads=64)


def test_blocks_do_not_wait_for_each_other() -> None:
    """Block 0 comes to the barrier once more than block 1."""
    body = MINE + "setp.eq.b32 %p1, %r1, 1; @%p1 bra $L1; bar.sync 0;\n$L1:\nbar.sync 0;\n"
    run(body + each(0, 20) + "st.global.b32 [%rd20], {%r3};", out(128), threads=64, blocks=2)


def test_a_store_to_global_memory_that_another_block_reads() -> None:
    body = MINE + each(0, 20) + "st.global.b32 [%rd20], {%r3}; bar.sync 0;"
    body += "xor.b32 %r3, %r3, {};" + each(0, 20) + "ld.global.b32 {%r9}, [%rd20];"
    run(body.replace("{}", "1", 1), out(128), threads=64, blocks=2)
    # One after the other, the second block writes what the first has read.
    for lanes, race in ((8192, "read without a barrier after"), (64, "written without a barrier after")):
        with pytest.raises(KernelError, match=race):
            run(body.replace("{}", "64", 1), out(128), threads=64, blocks=2, lanes=lanes)


# The last block to arrive adds what each has left.
LAST = (
    MINE
    + each(0, 20)
    + """
    mad.wide.u32 %rd21, %r1, 4, %rd1;
    add.s32 %r4, %r1, 100;
    setp.eq.b32 %p1, %r0, {writer};
    setp.eq.b32 %p2, %r0, 0;
    @%p1 st.global.b32 [%rd21], {{%r4}};
    {between}
    mov.b32 %r5, 0;
    @%p2 atom.global.gpu.{semantics}.inc.u32 %r5, [%rd2], {last};
    {then}
    mov.b32 %r6, dynamic;
    @%p2 st.shared.b32 [%r6], %r5;
    bar.sync 0;
    ld.shared.b32 %r5, [%r6];
    setp.ne.b32 %p3, %r5, {last};
    @%p3 bra $L1;
    setp.lt.u32 %p4, %r0, 5;
    mad.wide.u32 %rd22, %r0, 4, %rd1;
    mov.b32 %r7, 0;
    @%p4 ld.global.b32 {{%r7}}, [%rd22];
    redux.sync.add.s32 %r7, %r7, -1;
    @%p2 st.global.b32 [%rd3], {{%r7}};
$L1:
"""
)


def last(writer: int = 0, between: str = "", semantics: str = "acq_rel", then: str = "", **options: object) -> int:
    tensors = out(320), out(5), torch.zeros(1, dtype=torch.int32), out(1)
    text = LAST.format(writer=writer, between=between, semantics=semantics, then=then, last=4)
    run(text, *tensors, threads=64, blocks=5, shared=4, **options)
    assert tensors[2].item() == 0
    return tensors[3].item()


@pytest.mark.parametrize("arrival", [range(5), range(5)[::-1], [3, 0, 4, 1, 2]])
@pytest.mark.parametrize("lanes", [64, 128, 8192])
def test_the_last_block_sees_what_all_have_released(arrival: list[int], lanes: int) -> None:
    assert last(arrival=arrival, lanes=lanes) == 510
    assert last(40, "bar.sync 0;", arrival=arrival, lanes=lanes) == 510
    assert last(0, "fence.acq_rel.gpu;", "relaxed", "fence.acq_rel.gpu;", arrival=arrival, lanes=lanes) == 510


@pytest.mark.parametrize(
    ("writer", "between", "semantics", "then"),
    [
        (40, "", "acq_rel", ""),  # the releasing thread is not the one that stored
        (0, "", "relaxed", ""),
        (0, "", "acquire", ""),
        (0, "", "release", ""),
        (0, "membar.gl;", "relaxed", ""),
    ],
)
def test_a_last_block_that_may_see_less(writer: int, between: str, semantics: str, then: str) -> None:
    with pytest.raises(KernelError, match="read without a barrier after another thread wrote it"):
        last(writer, between, semantics, then)
