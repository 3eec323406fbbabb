"""How many elements make a group of a tile, and what it draws where they are eight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import fastvae.functional as F
from fastvae._triton import _launch, _layout
from fastvae.reference import noise as reference
from tests.support.backends import on


def lanes(shape: tuple[int, ...], *strides: tuple[int, ...], row_dims: int = 1, **options: Any) -> int:
    """Of operands of these strides, where eight would be a vector load."""
    plan = _layout.plan(shape, strides, row_dims, 4096, lanes=8, **options)
    tiling = plan.tiling
    found: int = tiling.lanes.value
    assert tiling.tile_rows.value * tiling.tile_groups.value * found == 4096
    return found


def test_groups_are_of_eight_where_that_makes_none_narrower() -> None:
    assert lanes((64, 512), (512, 1)) == 8
    assert lanes((64, 24), (48, 1), (24, 1)) == 8
    # Half of packed moments of 20 begins between two groups of eight, in each other row.
    assert lanes((64, 20), (40, 1), (20, 1)) == 4
    assert lanes((64, 24), (28, 1), (24, 1)) == 4
    # All of it in one row.
    assert lanes((64, 20), (20, 1), (20, 1), row_dims=0) == 8
    # What is read an element at a time anyhow, or is the same along a row, decides nothing.
    assert lanes((64, 24), (24, 1), (1, 64), (0, 0), (1, 0)) == 8
    assert lanes((64, 24), (24, 1), (25, 1)) == 8


def test_elements_that_alternate_and_rows_that_fold_stay_in_groups_of_four() -> None:
    assert lanes((64, 24), (48, 2), (48, 2), paired=(0,)) == 4
    assert lanes((64, 10), (20, 1), (10, 1), row_dims=1, foldable=True) == 4


@pytest.mark.parametrize(
    ("dtypes", "begin", "per_thread", "expected"),
    [
        ((torch.bfloat16,), 0, 16, 8),
        ((torch.bfloat16,), 8, 16, 8),
        ((torch.bfloat16,), 4, 16, 4),
        ((torch.bfloat16,), 0, 4, 4),
        ((torch.float16, torch.uint8), 8, 16, 8),
        ((torch.float16, torch.uint8), 4, 16, 4),
        ((torch.float16, torch.float32), 0, 16, 8),
        ((torch.float32, torch.bfloat16), 0, 16, 4),
        ((torch.float64,), 0, 16, 4),
    ],
)
def test_a_group_is_a_vector_load_of_the_first_operand(
    dtypes: tuple[torch.dtype, ...], begin: int, per_thread: int, expected: int
) -> None:
    operands = [torch.zeros(64, dtype=dtype)[begin:] for dtype in dtypes]
    assert _launch._lanes(operands, per_thread) == expected


@pytest.mark.parametrize("shape", [(6, 20), (3, 24), (2, 3, 8), (5, 12)], ids=str)
@pytest.mark.parametrize("start", [0, 1, 2**40 + 1])
@pytest.mark.parametrize("reduction", ["sum", "sample"])
def test_halves_draw_the_same_noise(shape: tuple[int, ...], start: int, reduction: str) -> None:
    """Groups of eight begin anywhere in the stream of groups of four: with z = eps, sigma's gradient is eps."""
    row, count = int(np.prod(shape[1:])), int(np.prod(shape))
    total = start + 7
    expected = [reference.normal(-3, count, (k * total + start) * row) for k in range(2)]
    scale = torch.ones(shape, dtype=torch.float16, requires_grad=True)
    with on("triton"):
        z, _ = F.reparameterize_kl(
            torch.zeros_like(scale), scale, parameterization="std", seed=-3, num_samples=2, shard=(start, total),
            reduction=reduction,
        )  # fmt: skip
        z.sum().backward()
    np.testing.assert_array_equal(z.detach().numpy().reshape(2, -1), np.stack(expected).astype(np.float16))
    assert scale.grad is not None
    np.testing.assert_array_equal(scale.grad.numpy().ravel(), (expected[0] + expected[1]).astype(np.float16))


@pytest.mark.parametrize("begin", [0, 4, 5, 8])
def test_operands_that_begin_anywhere_give_the_same(begin: int) -> None:
    def losses(begin: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (48,), generator=generator, dtype=torch.uint8)
        storage = torch.randn(48, generator=generator).to(torch.float16), pixels
        x, target = (torch.cat([torch.zeros(begin, dtype=t.dtype), t])[begin:].view(2, 24) for t in storage)
        with on("triton"):
            leaf = x.detach().requires_grad_()
            loss = F.binary_cross_entropy_with_logits(leaf, target, reduction="none")
            return loss.detach(), *torch.autograd.grad(loss.float().sum(), leaf)

    for found, expected in zip(losses(begin), losses(0), strict=True):
        assert torch.equal(found, expected)
