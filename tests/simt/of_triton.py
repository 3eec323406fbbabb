"""Kernels that Triton compiles, right and wrong ones, launched on the machine. Run by test_compiled.py."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

import fastvae.functional as F
from fastvae import _outputs
from tests.simt.device import Device, executing
from tests.simt.memory import KernelError


@pytest.fixture
def device() -> Iterator[Device]:
    with executing(Device()) as there:
        yield there


@triton.jit
def _copy(x, y, count, block: tl.constexpr, masked: tl.constexpr):
    index = tl.program_id(0) * block + tl.arange(0, block)
    mask = index < count if masked else None
    tl.store(y + index, tl.load(x + index, mask=mask), mask=mask)


@pytest.mark.parametrize("count", [1, 255, 256, 257])
def test_a_mask_keeps_a_kernel_within_its_tensors(device: Device, count: int) -> None:
    x, y = torch.rand(count), torch.zeros(count)
    grid = (triton.cdiv(count, 256),)
    _copy[grid](x, y, count, block=256, masked=True)
    assert torch.equal(x, y)
    if count % 256:
        with pytest.raises(KernelError, match=r"of_triton.py:\d+.*out of bounds"):
            _copy[grid](x, y, count, block=256, masked=False)


@triton.jit
def _shift(x, count: tl.constexpr):
    index = tl.arange(0, count)
    tl.store(x + index + 1, tl.load(x + index))


def test_a_kernel_that_writes_over_what_others_may_not_have_read(device: Device) -> None:
    with pytest.raises(KernelError, match="is written without a barrier after another thread's access"):
        _shift[(1,)](torch.rand(129), count=128)


@triton.jit
def _total(x, partials, arrived, out, count, block: tl.constexpr, width: tl.constexpr, wait: tl.constexpr):
    """The last block to arrive adds the sums of all."""
    index = tl.program_id(0) * block + tl.arange(0, block)
    value = tl.load(x + index, mask=index < count, other=0.0)
    # Written by several threads, of which one announces it.
    tl.store(partials + tl.program_id(0) * 2 + tl.arange(0, 2), tl.sum(tl.reshape(value, (2, block // 2)), 1))
    if wait:
        tl.debug_barrier()
    before = tl.atomic_add(arrived, 1)
    if before == tl.num_programs(0) - 1:
        each = tl.arange(0, width)
        parts = tl.load(partials + each, mask=each < 2 * tl.num_programs(0), other=0.0)
        tl.store(out, tl.sum(parts, 0))
        tl.store(arrived, 0)


def _summed(count: int, *, wait: bool, num_warps: int) -> Tensor:
    x = torch.rand(count, generator=torch.Generator().manual_seed(0))
    programs = triton.cdiv(count, 256)
    partials, arrived, out = torch.zeros(programs, 2), torch.zeros(1, dtype=torch.int32), torch.zeros(())
    for _ in range(2):
        _total[(programs,)](x, partials, arrived, out, count, block=256, width=64, wait=wait, num_warps=num_warps)
        assert arrived.item() == 0
    torch.testing.assert_close(out.double(), x.double().sum(), rtol=1e-6, atol=0)
    return out


@pytest.mark.parametrize("num_warps", [1, 4])
def test_a_sum_by_the_last_block_has_the_same_bits_in_any_order(num_warps: int) -> None:
    found = []
    for backwards in (False, True):
        with executing(Device(backwards=backwards)):
            found.append(_summed(1100, wait=True, num_warps=num_warps))
    assert torch.equal(*found)


def test_without_a_barrier_it_may_miss_some(device: Device) -> None:
    with pytest.raises(KernelError, match="is read without a barrier after another thread wrote it"):
        # More warps meet at barriers of the sum itself.
        _summed(1100, wait=False, num_warps=1)


def test_what_a_kernel_was_compiled_for_must_hold_later(device: Device) -> None:
    x, y = torch.rand(68), torch.zeros(68)
    compiled = _copy[(1,)](x[:64], y[:64], 64, block=64, masked=True)
    with pytest.raises(KernelError, match=r"argument \(0,\) is \d+; compiled for a multiple of 16"):
        compiled[(1, 1, 1)](x[1:65], y[:64], 64, 64, True)
    with pytest.raises(KernelError, match=r"argument \(2,\) is 60; compiled for a multiple of 16"):
        compiled[(1, 1, 1)](x[:64], y[:64], 60, 64, True)
    compiled = _copy[(1,)](x[:64], y[:64], 1, block=64, masked=True)
    with pytest.raises(KernelError, match=r"argument \(2,\) is 5; compiled for 1"):
        compiled[(1, 1, 1)](x[:64], y[:64], 5, 64, True)


def test_an_op_must_write_all_that_it_returns(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(3, 5)
    F.mse_loss(x, x, reduction="none")

    def longer(*arguments: Any) -> Any:
        loss, *others = allocate(*arguments)
        return (loss.new_empty((4, 5))[:3], *others) if loss is None else (loss.new_empty((4, 5)), *others)

    allocate = _outputs.reconstruction
    monkeypatch.setattr(_outputs, "reconstruction", longer)
    with pytest.raises(KernelError, match="5 of the 20 elements of result 0 were never written"):
        F.mse_loss(x, x, reduction="none")


def test_a_program_may_not_read_what_others_have_not_counted(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    reduce = importlib.import_module("fastvae._triton.reduce")
    x = torch.rand(300, 5)
    F.mse_loss(x, x, reduction="sum")

    def nearly_all(*arguments: Any) -> Any:
        there = counters(*arguments)
        return there.fill_(1500 // 256)  # so that the first program to arrive takes itself for the last

    counters = reduce.counters
    monkeypatch.setattr(reduce, "counters", nearly_all)
    with pytest.raises(KernelError, match="is read without a barrier after another thread wrote it"):
        F.mse_loss(x, x, reduction="sum")
