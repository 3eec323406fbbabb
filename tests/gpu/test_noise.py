"""The noise contract on the device: eps is that of the C++ kernels and of the specification, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

import fastvae.functional as F
from fastvae import _C, _noise, _ops
from fastvae._triton import noise
from fastvae.reference import noise as reference
from tests.support.layouts import LAYOUTS

from .conftest import DRY_RUN, INTERPRETED

SEEDS = (0, 1, -1, 2**31, 0x123456789ABCDEF, -(2**63), 2**63 - 1)
SHAPES = [(1,), (3,), (4,), (5,), (1, 1), (3, 1), (5, 7), (4, 20), (3, 21), (2, 3, 5), (1, 4099), (70, 100)]
MANY = (3, 1001) if DRY_RUN else (1000, 10_007)


def cpp(seed: int, count: int, start: int = 0) -> Tensor:
    out = torch.empty(count)
    _C.normal(torch.tensor([seed]), start, out, torch.get_num_threads())
    return out


def eps(mu: Tensor, seed: int, **options: int | None) -> Tensor:
    """The noise itself: 0 + 1 * eps."""
    return F.reparameterize(mu, torch.ones_like(mu), parameterization="std", seed=seed, **options)


@pytest.mark.parametrize("seed", SEEDS)
def test_eps_is_that_of_cpp(device: str, seed: int) -> None:
    found = eps(torch.zeros(MANY, device=device), seed)
    assert torch.equal(found.flatten().cpu(), cpp(seed, found.numel()))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_samples", [None, 3])
def test_eps_is_the_specification_at_any_shape(device: str, shape: tuple[int, ...], num_samples: int | None) -> None:
    found = eps(torch.zeros(shape, device=device), -7, num_samples=num_samples)
    np.testing.assert_array_equal(found.flatten().cpu().numpy(), reference.normal(-7, found.numel()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_eps_belongs_to_the_logical_index(device: str, layout: str) -> None:
    found = eps(LAYOUTS[layout](torch.zeros(2, 4, 3, 8, device=device)), 3)
    assert torch.equal(found.flatten().cpu(), cpp(3, found.numel()))


@pytest.mark.parametrize(("row", "start"), [(8, 3), (10, 3), (5, 2**29 + 1), (8, 2**40 + 1)])
@pytest.mark.parametrize("num_samples", [None, 3])
def test_a_shard_has_the_noise_of_its_rows(device: str, row: int, start: int, num_samples: int | None) -> None:
    """Groups of four begin where the stream's do, or not; the rows may lie beyond 2^31 elements. Backward too."""
    total = 2 * start + 40
    draws = [cpp(-7, 33 * row, (k * total + start) * row) for k in range(num_samples or 1)]
    scale = torch.ones(33, row, device=device, requires_grad=True)
    z = F.reparameterize(
        torch.zeros_like(scale), scale, parameterization="std", seed=-7, num_samples=num_samples, shard=(start, total)
    )
    assert torch.equal(z.flatten().cpu(), torch.cat(draws))
    z.sum().backward()
    assert torch.equal(scale.grad.flatten().cpu(), sum(draws[1:], draws[0]))


@triton.jit
def _stretch(seed, start, by_group, by_element, groups: tl.constexpr):
    group = tl.load(start) + tl.arange(0, groups)[None, :, None]
    lane = tl.arange(0, 4)[None, None, :]
    to = tl.arange(0, groups)[None, :, None] * 4 + lane
    tl.store(by_group + to, noise.normal_groups(tl.load(seed), group))
    tl.store(by_element + to, noise.normal_elements(tl.load(seed), group * 4 + lane))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("start", [0, 2**30 - 3, 2**32 - 5, 2**40 + 7])
def test_any_stretch_of_the_stream(device: str, seed: int, start: int) -> None:
    seeds, starts = (torch.tensor([value], device=device) for value in (seed, start))
    by_group, by_element = torch.empty(2, 256, device=device)
    _stretch[(1,)](seeds, starts, by_group, by_element, groups=64, enable_fp_fusion=False)
    expected = cpp(seed, 256, 4 * start)
    assert torch.equal(by_group.cpu(), expected)
    assert torch.equal(by_element.cpu(), expected)


@pytest.mark.parametrize("reduction", ["sample", "sum"])
@pytest.mark.parametrize("length", [20, 21])
def test_the_sum_beside_it_changes_nothing(device: str, reduction: str, length: int) -> None:
    mu = torch.zeros(100, length, device=device)
    z, _ = F.reparameterize_kl(mu, torch.ones_like(mu), parameterization="std", seed=5, reduction=reduction)
    assert torch.equal(z.flatten().cpu(), cpp(5, z.numel()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_round_it(device: str, dtype: torch.dtype) -> None:
    found = eps(torch.zeros(30, 8, device=device, dtype=dtype), 9).flatten().cpu()
    expected = cpp(9, 240).to(dtype)
    # The interpreter truncates to bfloat16.
    unit = torch.finfo(dtype).eps if INTERPRETED and dtype == torch.bfloat16 else 0.0
    torch.testing.assert_close(found, expected, rtol=unit, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_halves_round_it_too(device: str, dtype: torch.dtype) -> None:
    """They are read in groups of eight, of which each shard and sample begins with any group of four. Backward too."""
    shape, start, total = (60 if INTERPRETED else 6560, 20), 3, 10_001
    draws = [cpp(5, shape[0] * 20, (k * total + start) * 20) for k in range(2)]
    scale = torch.ones(shape, device=device, dtype=dtype, requires_grad=True)
    z = F.reparameterize(
        torch.zeros_like(scale), scale, parameterization="std", seed=5, num_samples=2, shard=(start, total)
    )
    z.sum().backward()
    # The interpreter truncates to bfloat16.
    unit = torch.finfo(dtype).eps if INTERPRETED and dtype == torch.bfloat16 else 0.0
    torch.testing.assert_close(z.flatten().cpu(), torch.cat(draws).to(dtype), rtol=unit, atol=0)
    torch.testing.assert_close(scale.grad.flatten().cpu(), (draws[0] + draws[1]).to(dtype), rtol=unit, atol=0)


@pytest.mark.parametrize("shape", [(33, 20), (33, 21)])
def test_backward_draws_it_again(device: str, shape: tuple[int, ...]) -> None:
    """With z = mu + sigma eps, the gradient of sigma is eps."""
    scale = torch.ones(shape, device=device, requires_grad=True)
    F.reparameterize(torch.zeros(shape, device=device), scale, parameterization="std", seed=-2).sum().backward()
    assert torch.equal(scale.grad.flatten().cpu(), cpp(-2, scale.numel()))


def test_a_drawn_seed_follows_the_generator_of_the_device(device: str) -> None:
    mu = torch.zeros(2, 8, device=device)
    torch.manual_seed(0)
    first, second = F.reparameterize(mu, mu), F.reparameterize(mu, mu)
    torch.manual_seed(0)
    assert torch.equal(F.reparameterize(mu, mu), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("seed", [0, 7, -1])
@pytest.mark.parametrize("offset", [0, 4, 400, 2**34])
def test_a_seed_drawn_on_the_host_is_the_one_drawn_on_the_device(gpu: str, seed: int, offset: int) -> None:
    mu = torch.zeros(1, device=gpu)  # there are no generators before the first tensor
    generator = torch.cuda.default_generators[0]
    torch.cuda.manual_seed(seed)
    generator.set_offset(offset)
    on_device = _ops.draw_seed(mu)
    moved = generator.get_offset()
    generator.set_offset(offset)
    on_host = _noise._drawn(mu, None)
    assert on_host.is_cpu
    assert on_host.item() == on_device.item()
    assert generator.get_offset() == moved
