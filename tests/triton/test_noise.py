"""How the kernels draw the stream of fastvae.reference.noise: see core/test_noise.py for the noise of the ops."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

import fastvae.functional as F
from fastvae._triton import _launch, _operands, noise
from fastvae.reference import noise as reference
from tests.core.test_fused import NEAR_TIES, exact
from tests.support.backends import on
from tests.support.kept import KEPT

SEEDS = (0, 1, -1, 2**31, 0x123456789ABCDEF, -(2**63), 2**63 - 1)


@triton.jit
def _philox(counter, seed, out):
    lane = tl.arange(0, 1)
    c0 = tl.load(counter + lane).to(tl.uint32)
    c1 = tl.load(counter + 1 + lane).to(tl.uint32)
    c2 = tl.load(counter + 2 + lane).to(tl.uint32)
    c3 = tl.load(counter + 3 + lane).to(tl.uint32)
    w0, w1, w2, w3 = noise.philox(tl.load(seed + lane), c0, c1, c2, c3)
    tl.store(out + lane, w0.to(tl.int64))
    tl.store(out + 1 + lane, w1.to(tl.int64))
    tl.store(out + 2 + lane, w2.to(tl.int64))
    tl.store(out + 3 + lane, w3.to(tl.int64))


@triton.jit
def _multiply_add(a, b, c, out, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.fma(tl.load(a + at), tl.load(b + at), tl.load(c + at)))


@triton.jit
def _normals(seed, start, by_group, by_element, groups: tl.constexpr):
    group = tl.load(start) + tl.arange(0, groups)[None, :, None]
    index = group * 4 + tl.arange(0, 4)[None, None, :]
    offset = tl.arange(0, groups)[None, :, None] * 4 + tl.arange(0, 4)[None, None, :]
    tl.store(by_group + offset, noise.normal_groups(tl.load(seed), group))
    tl.store(by_element + offset, noise.normal_elements(tl.load(seed), index))


def _int64(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def _eps(seed: int | torch.Tensor, mu: torch.Tensor, **options: int) -> torch.Tensor:
    """eps itself: 0 + 1 * eps."""
    with on("triton"):
        return F.reparameterize(mu, torch.ones_like(mu), parameterization="std", seed=seed, **options)


@pytest.mark.parametrize(
    ("counter", "seed", "words"),
    [
        ((0, 0, 0, 0), 0, (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
        ((0xFFFFFFFF,) * 4, -1, (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A),
        ),
    ],
)
def test_random123_known_answers(counter: tuple[int, ...], seed: int, words: tuple[int, ...]) -> None:
    out = torch.empty(4, dtype=torch.int64)
    with on("triton"):
        _philox[(1,)](_int64(*counter), _int64(seed), out)
    assert tuple(out.tolist()) == words


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("start", [0, 2**30 - 3, 2**32 - 5, 2**40 + 7])
def test_both_ways_to_draw_equal_the_reference_anywhere_in_the_stream(seed: int, start: int) -> None:
    by_group, by_element = torch.empty(64), torch.empty(64)
    with on("triton"):
        _normals[(1,)](_int64(seed), _int64(start), by_group, by_element, groups=16)
    expected = reference.normal(seed, 64, 4 * start)
    np.testing.assert_array_equal(by_group.numpy(), expected)
    np.testing.assert_array_equal(by_element.numpy(), expected)


@pytest.mark.parametrize("block", [64, 256])
def test_eps_does_not_depend_on_the_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_launch, "_INTERPRETED", _launch.Blocking(block, 128))
    for shape in ((5, 20), (3, 33)):
        eps = _eps(11, torch.zeros(shape))
        np.testing.assert_array_equal(eps.flatten().numpy(), reference.normal(11, eps.numel()))


@pytest.mark.parametrize("reduction", ["sample", "sum"])
@pytest.mark.parametrize("length", [20, 21])
def test_rows_and_flat_tiles_draw_the_same(reduction: str, length: int) -> None:
    mu = torch.zeros(6, length)
    with on("triton"):
        z, _ = F.reparameterize_kl(mu, torch.ones_like(mu), parameterization="std", seed=5, reduction=reduction)
    np.testing.assert_array_equal(z.flatten().numpy(), reference.normal(5, z.numel()))


def test_the_interpreter_rounds_a_fused_multiply_add_once() -> None:
    """As every device does: its own product and sum are rounded each."""
    cases = [*NEAR_TIES, *[NEAR_TIES[0]] * (128 - len(NEAR_TIES))]
    out = torch.empty(128)
    with on("triton"):
        _multiply_add[(1,)](*torch.tensor(cases).T.contiguous(), out, n=128)
    assert out.tolist() == [exact(*case) for case in cases]


@pytest.mark.slow
def test_a_compiler_finds_nothing_to_contract() -> None:
    """So that kernels which draw may have the rest of their arithmetic contracted."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(KEPT / "triton")
    script = [sys.executable, "-m", "tests.triton.contraction"]
    result = subprocess.run(script, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    # Without leave to contract, each operation says how it rounds.
    forbidden, allowed = (
        Counter(re.sub(r"\.rn\b", "", operation) for operation in re.findall(r"\t([a-z]+\.[\w.]*f32)\b", ptx))
        for ptx in json.loads(result.stdout)
    )
    assert forbidden == allowed
    assert forbidden["fma.f32"] > forbidden["mul.f32"] > forbidden["add.f32"] > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_in_memory_of_the_device_is_that_given_by_value(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        scale = torch.ones(3, 21, requires_grad=True)
        with on("triton"):
            z = F.reparameterize(torch.zeros(3, 21), scale, parameterization="std", seed=seed)
            return z, *torch.autograd.grad(z.sum(), scale)

    by_value = draw()
    monkeypatch.setattr(_operands, "on_host", lambda seed: False)
    z, gradient = draw()
    assert torch.equal(z, by_value[0])
    assert torch.equal(gradient, by_value[1])
    np.testing.assert_array_equal(z.detach().flatten().numpy(), reference.normal(seed, z.numel()))
