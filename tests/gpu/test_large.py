"""More than 2^31 elements: offsets of 64 bits, and sums that keep their accuracy.

Looked at in pieces: where tensors begin and end, around 2^31, and in sums over everything, piece by piece in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as torch_functional
from torch import Tensor

import fastvae.functional as F
from fastvae import _C

from .conftest import DRY_RUN

# A dry run goes the same way through a few thousand elements.
LIMIT, ROWS, COLUMNS, LOOK, PIECE = (
    (2**10, 12, 2**8, 2**9, 2**10) if DRY_RUN else (2**31, 2**20 + 8, 2**11, 2**12, 2**25)
)
COUNT = ROWS * COLUMNS
# Of a sum of positive terms, relative: what float32 loses in a tile, at most a rounding a halving, averages out over
# the tiles, of which a dry run has a few.
LOST = math.log2(COUNT) * 2**-24 if DRY_RUN else 1e-7
GIB = 2**30


def needs(gibibytes: int) -> None:
    if DRY_RUN:
        return
    free, _ = torch.cuda.mem_get_info()
    if free < gibibytes * GIB:
        pytest.skip(f"needs {gibibytes} GiB of the GPU's memory, of which {free / GIB:.0f} are free")


@pytest.fixture(autouse=True)
def _free() -> Iterator[None]:
    torch.cuda.empty_cache()
    yield
    torch.cuda.empty_cache()


def looks() -> Iterator[slice]:
    for middle in (LOOK, LIMIT, COUNT - LOOK):
        yield slice(middle - LOOK, middle + LOOK)


def total(term: Callable[[Tensor, Tensor], Tensor], x: Tensor, target: Tensor) -> float:
    """The sum of a loss in float64, a piece at a time."""
    pieces = zip(x.flatten().split(PIECE), target.flatten().split(PIECE), strict=True)
    return sum(term(a.double(), b.double()).item() for a, b in pieces)


def compare(found: Tensor, exact: Tensor) -> None:
    """To one rounding of the dtype, and what a few float32 operations lose."""
    torch.testing.assert_close(found.double(), exact, rtol=torch.finfo(found.dtype).eps + 1e-6, atol=1e-5)


def test_mse(device: str) -> None:
    needs(32)
    x, target = torch.randn(ROWS, COLUMNS, device=device), torch.rand(ROWS, COLUMNS, device=device)
    x.requires_grad_()
    loss = F.mse_loss(x, target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    exact = total(lambda a, b: (a - b).square().sum(), x.detach(), target)
    assert abs(loss.item() - exact) <= LOST * exact
    for look in looks():
        a, b, g = (t.detach().flatten()[look] for t in (x, target, gradient))
        compare(g, 2 * (a.double() - b.double()))


@pytest.mark.parametrize("reduction", ["sum", "sample"])
def test_bce_of_bfloat16_logits_and_bytes(device: str, reduction: str) -> None:
    needs(16)
    x = torch.randn(ROWS, COLUMNS, device=device, dtype=torch.bfloat16).requires_grad_()
    target = torch.randint(0, 256, (ROWS, COLUMNS), device=device, dtype=torch.uint8)
    loss = F.binary_cross_entropy_with_logits(x, target, reduction=reduction)
    (gradient,) = torch.autograd.grad(loss.sum(), x)

    def term(a: Tensor, b: Tensor) -> Tensor:
        return torch_functional.binary_cross_entropy_with_logits(a, b / 255, reduction="none")

    exact = total(lambda a, b: term(a, b).sum(), x.detach(), target)
    assert abs(loss.double().sum().item() - exact) <= LOST * exact
    if reduction == "sample":
        compare(loss[-3:], term(x[-3:].detach().double(), target[-3:].double()).sum(1))
    for look in looks():
        a, b, g = (t.detach().flatten()[look].double() for t in (x, target, gradient))
        compare(g.bfloat16(), torch.sigmoid(a) - b / 255)


def test_a_packed_bfloat16_latent(device: str) -> None:
    """z has more than 2^31 elements, the moments twice as many."""
    needs(32)
    moments = torch.randn(ROWS, 2 * COLUMNS, device=device, dtype=torch.bfloat16).requires_grad_()
    z, kl = F.reparameterize_kl_packed(moments, seed=3, reduction="sum")
    (gradient,) = torch.autograd.grad((z, kl), moments, (torch.ones_like(z), torch.ones_like(kl)))
    mu, logvar = moments.detach().chunk(2, 1)

    def term(m: Tensor, v: Tensor) -> Tensor:
        return 0.5 * (m.square() + torch.expm1(v) - v)

    rows = PIECE // COLUMNS
    exact = sum(
        term(m.double(), v.double()).sum().item() for m, v in zip(mu.split(rows), logvar.split(rows), strict=True)
    )
    assert abs(kl.item() - exact) <= LOST * exact
    for look in looks():
        span = slice(look.start // COLUMNS, look.stop // COLUMNS)
        eps = torch.empty((span.stop - span.start) * COLUMNS)
        _C.normal(torch.tensor([3]), span.start * COLUMNS, eps, 1)
        noise = eps.to(device).double().view(-1, COLUMNS)
        m, v = mu[span].double(), logvar[span].double()
        sigma = torch.exp(0.5 * v)
        compare(z.detach()[span], m + sigma * noise)
        compare(gradient[span, :COLUMNS], 1 + m)
        compare(gradient[span, COLUMNS:], 0.5 * sigma * noise + 0.5 * torch.expm1(v))


@pytest.mark.parametrize(
    ("dtype", "count"), [(torch.float32, 2 * LIMIT + 4100), (torch.bfloat16, 8 * LIMIT + 4100)], ids=str
)
def test_noise_beyond_the_first_words_of_the_counter(device: str, dtype: torch.dtype, count: int) -> None:
    """Beyond 2^34 elements a group's number has more than 32 bits. The inputs are one number, expanded."""
    needs(count * dtype.itemsize // GIB + 2)
    mu, sigma = (torch.full((1,), value, device=device, dtype=dtype).expand(count) for value in (0.0, 1.0))
    z = F.reparameterize(mu, sigma, parameterization="std", seed=-9)
    # The interpreter truncates to bfloat16.
    unit = torch.finfo(dtype).eps if DRY_RUN and dtype == torch.bfloat16 else 0.0
    for start in (0, LIMIT - LOOK, 2 * LIMIT - LOOK, count - 2 * LOOK):
        eps = torch.empty(2 * LOOK)
        _C.normal(torch.tensor([-9]), start, eps, 1)
        torch.testing.assert_close(z[start : start + 2 * LOOK].cpu(), eps.to(dtype), rtol=unit, atol=0)
