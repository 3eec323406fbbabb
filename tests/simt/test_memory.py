"""Loads and stores of every width, and each thing a kernel may not do to memory."""

from __future__ import annotations

import pytest
import torch

from tests.simt.kernels import MINE, each, ptx, run
from tests.simt.machine import Machine
from tests.simt.memory import KernelError, Memory


def numbers(count: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
    return torch.arange(count).to(dtype)


COPIES = {
    "b8": (1, "ld.global.b8 {%rs1}, [%rd20];", "st.global.b8 [%rd21], {%rs1};"),
    "b16": (2, "ld.global.b16 {%rs1}, [%rd20 + 0];", "st.global.b16 [%rd21 + 0], {%rs1};"),
    "b32": (4, "ld.global.nc.L1::evict_last.b32 {%r9}, [%rd20];", "st.global.wt.b32 [%rd21], {%r9};"),
    "b64": (8, "ld.global.cg.b64 {%rd9}, [%rd20];", "st.global.b64 [%rd21], {%rd9};"),
    "v2.b32": (8, "ld.global.v2.b32 {%r8, %r9}, [%rd20];", "st.global.v2.b32 [%rd21], {%r8, %r9};"),
    "v4.b32": (16, "ld.global.v4.b32 {%r6, %r7, %r8, %r9}, [%rd20];",
               "st.global.v4.b32 [%rd21], {%r6, %r7, %r8, %r9};"),
    "v2.b64": (16, "ld.global.v2.b64 {%rd8, %rd9}, [%rd20];", "st.global.v2.b64 [%rd21], {%rd8, %rd9};"),
    "v4.b8": (4, "ld.global.v4.b8 {%rs1, %rs2, %rs3, %rs4}, [%rd20];",
              "st.global.v4.b8 [%rd21], {%rs1, %rs2, %rs3, %rs4};"),
}  # fmt: skip


@pytest.mark.parametrize("width", COPIES)
def test_copies_of_every_width(width: str) -> None:
    size, load, store = COPIES[width]
    x = numbers(2 * 64 * size, torch.uint8)
    y = torch.zeros_like(x)
    run(MINE + each(0, 20, size) + each(1, 21, size) + load + store, x, y, threads=64, blocks=2)
    assert torch.equal(x, y)


def test_a_byte_is_extended_as_its_type_says() -> None:
    x, y = torch.full((32,), 200, dtype=torch.uint8), torch.zeros(64, dtype=torch.int32)
    body = MINE + each(0, 20, 1) + each(1, 21, 8) + "ld.global.s8 {%r8}, [%rd20]; ld.global.u8 {%r9}, [%rd20];"
    run(body + "st.global.v2.b32 [%rd21], {%r8, %r9};", x, y)
    assert y[:2].tolist() == [-56, 200]


def test_an_offset_of_an_address() -> None:
    x, y = numbers(34), torch.zeros(32, dtype=torch.int32)
    body = MINE + each(0, 20) + each(1, 21) + "add.s64 %rd20, %rd20, 8;"
    run(body + "ld.global.b32 {%r8}, [%rd20 + -4]; st.global.b32 [%rd21], {%r8};", x, y)
    assert torch.equal(y, x[1:33])


COPY = MINE + each(0, 20) + each(1, 21) + "ld.global.b32 {%r9}, [%rd20]; st.global.b32 [%rd21], {%r9};"


@pytest.mark.parametrize("short", [0, 1])
def test_beyond_a_tensor(short: int) -> None:
    tensors = [numbers(32), numbers(32)]
    tensors[short] = numbers(31)
    with pytest.raises(
        KernelError, match=rf"\[%rd2{short}\].*byte 124 of the 124 of a{short} is out of bounds \(thread 31"
    ):
        run(COPY, *tensors)


def test_before_every_tensor() -> None:
    with pytest.raises(KernelError, match="of no tensor given"):
        run("mov.b64 %rd20, 64; ld.global.b32 {%r9}, [%rd20];", numbers(4))


def test_masked_threads_touch_nothing() -> None:
    body = MINE + each(0, 20) + each(1, 21) + "setp.lt.u32 %p1, %r0, 5; mov.b32 %r9, -1;"
    body += "@%p1 ld.global.b32 {%r9}, [%rd20]; @%p1 st.global.b32 [%rd21], {%r9};"
    x, y = numbers(5), torch.zeros(5, dtype=torch.int32)
    run(body, x, y)
    assert torch.equal(x, y)


def test_between_the_elements_of_a_view() -> None:
    """The rest of a tensor that a kernel is given every other column of is not its own."""
    x, y = numbers(72).view(36, 2)[2:34, 1], torch.zeros(32, dtype=torch.int32)
    strided = MINE + each(0, 20, 8) + each(1, 21) + "ld.global.b32 {%r9}, [%rd20{}]; st.global.b32 [%rd21], {%r9};"
    run(strided.replace("{}", ""), x, y)
    assert torch.equal(x, y)
    for offset in (" + 4", " + -4"):
        with pytest.raises(KernelError, match="no element of a tensor given"):
            run(strided.replace("{}", offset), x, y)


@pytest.mark.parametrize("offset", [4, 8])
def test_a_vector_off_its_boundary(offset: int) -> None:
    body = MINE + each(0, 20, 16) + "ld.global.v4.b32 {%r6, %r7, %r8, %r9}, [%rd20];"
    run(body, numbers(128))
    with pytest.raises(KernelError, match="is not a multiple of the 16 bytes accessed"):
        run(body, numbers(132)[offset // 4 :])


def test_a_read_of_what_was_never_written() -> None:
    x, y, memory = numbers(32), torch.empty(32, dtype=torch.int32), Memory()
    memory.give(y, "y", written=False)
    with pytest.raises(KernelError, match="is read and was never written"):
        run(MINE + each(1, 20) + "ld.global.b32 {%r9}, [%rd20];", x, y, memory=memory)
    run(COPY, x, y, memory=memory)
    assert memory.unwritten(y) == 0
    run(MINE + each(1, 20) + "ld.global.b32 {%r9}, [%rd20];", x, y, memory=memory)


def test_a_store_to_what_is_only_to_be_read() -> None:
    x, y, memory = numbers(32), numbers(32), Memory()
    for number, tensor in enumerate((x, y)):
        memory.give(tensor, f"a{number}", writable=False)
    with pytest.raises(KernelError, match="of a1 is no element of a tensor that may be written"):
        Machine(ptx(COPY, 2)).launch(1, [x.data_ptr(), y.data_ptr()], memory)


def test_what_stays_unwritten_is_counted() -> None:
    x, y, memory = numbers(32), torch.empty(40, dtype=torch.int32), Memory()
    memory.give(y, "y", written=False)
    run(COPY, x, y, memory=memory)
    assert memory.unwritten(y) == 8
    memory.wrote(y[32:])
    assert memory.unwritten(y) == 0


def test_nothing_may_be_touched_that_was_taken_back() -> None:
    x, y, memory = numbers(32), torch.empty(40, dtype=torch.int32), Memory()
    memory.give(y, "y", written=False)
    run(COPY, x, y, memory=memory)
    memory.take_back()
    assert memory.unwritten(y) == 8
    memory.give(x, "x")
    with pytest.raises(KernelError, match="no element of a tensor given"):
        Machine(ptx(COPY, 2)).launch(1, [x.data_ptr(), y.data_ptr()], memory)
