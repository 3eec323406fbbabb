"""Operands anywhere in memory: off their alignment, and more than 2^31 elements apart."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import fastvae.functional as F
from tests.core.units import run, supported
from tests.support.ops import ALL_OPS, PAIRED
from tests.support.oracle import evaluate

MISALIGNED = """
import itertools, torch
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate

def off(tensor, offset):
    memory = bytearray(tensor.numel() * tensor.element_size() + 8)
    moved = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=offset)
    return moved.view(tensor.shape).copy_(tensor)

for (name, op), dtype in itertools.product(ALL_OPS.items(), (torch.float32, torch.float64, torch.bfloat16)):
    operands = op.operands((3, 2100), dtype)
    expected = evaluate(op.call, operands, op.wanted)
    for offset in (1, 2, 3):
        moved = {key: off(value, offset) for key, value in operands.items()}
        assert all(value.data_ptr() % value.element_size() for value in moved.values()) or offset == 2
        for key, value in evaluate(op.call, moved, op.wanted).items():
            assert torch.equal(value, expected[key]), (name, dtype, offset, key)
"""


@pytest.mark.parametrize("unit", supported())
def test_operands_off_their_alignment(unit: str) -> None:
    """As numpy has them in a packed file. A vector instruction that wants an aligned address would end the process."""
    result = run(MISALIGNED, unit)
    assert result.returncode == 0, (result.returncode, result.stderr[-2000:])


FAR = 2**31 + 5
ROWS, COLUMNS = 3, 700


def far_apart(tensor: Tensor) -> Tensor:
    """Its rows FAR elements apart, in a mapping of which only they are ever touched."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    memory = mmap.mmap(-1, ((ROWS - 1) * FAR + tensor.shape[1]) * tensor.element_size(), flags=flags)
    flat = torch.frombuffer(memory, dtype=tensor.dtype)
    return flat.as_strided(tensor.shape, (FAR, 1)).copy_(tensor)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="maps what it does not touch")
@pytest.mark.parametrize("name", sorted(ALL_OPS.keys() - PAIRED.keys()))
def test_rows_more_than_2_to_the_31_elements_apart(name: str) -> None:
    op = ALL_OPS[name]
    operands = op.operands((ROWS, COLUMNS), torch.bfloat16)
    expected = evaluate(op.call, operands, op.wanted)
    far = {key: far_apart(value) if value.dim() == 2 else value for key, value in operands.items()}
    for key, value in evaluate(op.call, far, op.wanted).items():
        assert torch.equal(value, expected[key]), key


COUNT = 2**31 + 8
MANY = {
    "mse": lambda x: F.mse_loss(x, torch.zeros(1, 1).expand_as(x), reduction="sum"),
    "kl": lambda x: F.gaussian_kl(x, x, reduction="sum"),
    "density": lambda x: F.log_normal(x, x, x, reduction="sum"),
    "bce": lambda x: F.binary_cross_entropy_with_logits(x, x, reduction="sum"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY)
def test_a_sum_over_more_than_2_to_the_31_elements(name: str) -> None:
    """Of one value, broadcast: each block has the same sum, and their order loses 2^-53 a block."""
    value = torch.full((1, 1), 0.5)
    one = MANY[name](value.expand(1, 8)).double() / 8
    total = MANY[name](value.expand(1, COUNT)).double()
    torch.testing.assert_close(total, one * COUNT, rtol=3e-7, atol=0)


def available() -> int:
    with Path("/proc/meminfo").open() as meminfo:
        return next(int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemAvailable"))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks how much memory is free")
def test_the_last_of_more_than_2_to_the_31_gradients() -> None:
    """In place, in 4.3 GB: bfloat16 values, which their own gradients overwrite."""
    if available() < 6 * 2**30:
        pytest.skip("needs 6 GiB of memory")
    x = torch.ones(COUNT, dtype=torch.bfloat16)
    x[-5:] = torch.arange(2, 7)
    leaf = x.requires_grad_()
    target = torch.zeros(1, dtype=torch.uint8).expand(COUNT)
    loss = F.mse_loss(leaf.view_as(leaf), target, reduction="sum", inplace=True)
    assert loss.item() == pytest.approx(COUNT - 5 + 4 + 9 + 16 + 25 + 36, rel=1e-7)
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert gradient.data_ptr() == x.data_ptr()
    assert gradient[-8:].tolist() == [2, 2, 2, 4, 6, 8, 10, 12]
    assert gradient[2**31 - 4 : 2**31 + 3].tolist() == [2] * 7
