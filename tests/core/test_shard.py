"""`shard=`: rows of a batch that is elsewhere have the noise, and so the gradients, that they have in the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.utils.checkpoint import checkpoint

import fastvae
import fastvae.functional as F
from fastvae.reference import noise
from tests.core.units import UNITS, run
from tests.support.backends import on
from tests.support.layouts import LAYOUTS

TOTAL = 9
PARTS = [(0, 3), (3, 1), (4, 4), (8, 1), (9, 0)]
"""(first row, rows), uneven: starts that are no multiple of 4, one row, none."""
ROWS = [(8,), (5,), (2,), (), (3, 4, 4), (33,)]


def eps(mu: Tensor, **options: Any) -> Tensor:
    """The noise itself: 0 + 1 * eps."""
    return F.reparameterize(torch.zeros_like(mu), torch.ones_like(mu), parameterization="std", **options)


def expected(seed: int, shape: tuple[int, ...], start: int, total: int, num_samples: int | None) -> np.ndarray:
    """By the contract: element i counts as its row-major index in [K, total, ...]."""
    row, count = int(np.prod(shape[1:])), int(np.prod(shape))
    draws = [noise.normal(seed, count, (k * total + start) * row) for k in range(num_samples or 1)]
    return np.stack(draws).reshape(shape if num_samples is None else (num_samples, *shape))


def same_bits(found: Tensor, value: Any) -> bool:
    return np.array_equal(found.detach().contiguous().numpy().view(np.uint32), np.asarray(value).view(np.uint32))


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("num_samples", [None, 1, 3])
@pytest.mark.usefixtures("backend")
def test_shards_are_the_whole_batch(row: tuple[int, ...], num_samples: int | None) -> None:
    whole = eps(torch.zeros(TOTAL, *row), seed=-7, num_samples=num_samples)
    parts = [
        eps(torch.zeros(rows, *row), seed=-7, num_samples=num_samples, shard=(start, TOTAL)) for start, rows in PARTS
    ]
    assert same_bits(whole, noise.normal(-7, whole.numel()).reshape(whole.shape))
    assert same_bits(torch.cat(parts, 0 if num_samples is None else 1), whole)


@pytest.mark.parametrize("start", [2**28 + 1, 2**29 - 1, 2**31 + 2, 2**40 + 3])
@pytest.mark.parametrize("row", [8, 5])
@pytest.mark.parametrize("num_samples", [None, 2])
@pytest.mark.usefixtures("backend")
def test_a_batch_may_have_more_elements_than_an_int32_counts(start: int, row: int, num_samples: int | None) -> None:
    total = 2 * start + 1
    found = eps(torch.zeros(3, row), seed=3, num_samples=num_samples, shard=(start, total))
    assert same_bits(found, expected(3, (3, row), start, total, num_samples))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("num_samples", [None, 2])
@pytest.mark.usefixtures("kernels")
def test_strides_change_no_noise(layout: str, num_samples: int | None) -> None:
    mu = LAYOUTS[layout](torch.zeros(2, 4, 3, 8))
    found = eps(mu, seed=5, num_samples=num_samples, shard=(3, 11))
    assert same_bits(found, expected(5, tuple(mu.shape), 3, 11, num_samples))


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_of_the_processor(unit: str) -> None:
    """1,000 rows of 7: stretches of the stream that begin and end within a vector of any width."""
    script = """
import torch, fastvae.functional as F
mu = torch.zeros(1000, 7)
part = lambda a, b, **k: F.reparameterize(mu[a:b], mu[a:b] + 1, parameterization="std", seed=4, num_samples=2, **k)
whole = part(0, 1000)
parts = [part(a, b, shard=(a, 1000)) for a, b in ((0, 301), (301, 302), (302, 999), (999, 1000))]
assert torch.equal(torch.cat(parts, 1), whole)
"""
    result = run(script, unit)
    assert result.returncode == 0, result.stderr


def leaves(*shape: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return list(torch.randn(3, *shape, generator=generator).unbind())


CALLS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "apart": lambda mu, scale, **options: F.reparameterize_kl(mu, scale, reduction="sample", **options),
    "packed": lambda mu, scale, **options: F.reparameterize_kl_packed(
        torch.cat((mu, scale), 1), reduction="sample", **options
    ),
}


def evaluated(call: Callable[..., Any], mu: Tensor, scale: Tensor, upstream: Tensor, **options: Any) -> list[Tensor]:
    """z, the KL and the gradients of mu and scale."""
    mu, scale = mu.clone().requires_grad_(), scale.clone().requires_grad_()
    z, kl = call(mu, scale, **options)
    gradients = torch.autograd.grad((z * upstream).sum() + kl.sum(), (mu, scale))
    return [z.detach(), kl.detach(), *gradients]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("row", [20, 7])
@pytest.mark.parametrize("num_samples", [None, 3])
@pytest.mark.usefixtures("backend")
def test_gradients_are_the_rows_of_the_whole(name: str, row: int, num_samples: int | None) -> None:
    tensors, options = leaves(TOTAL, row), {"seed": 8, "num_samples": num_samples}
    z, *whole = evaluated(CALLS[name], *tensors, **options)
    for start, rows in PARTS[:-1]:
        at = slice(start, start + rows)
        found, *others = evaluated(CALLS[name], *(each[at] for each in tensors), **options, shard=(start, TOTAL))
        assert torch.equal(found, z[at] if num_samples is None else z[:, at])
        for other, all_rows in zip(others, whole, strict=True):
            # A sum over a row, which may be added up in another order where other rows share its block.
            torch.testing.assert_close(other, all_rows[at], rtol=3e-7, atol=3e-7)


def test_the_whole_is_a_shard_of_itself() -> None:
    mu = torch.zeros(TOTAL, 6)
    for shard in ((0, TOTAL), [0, TOTAL]):
        assert torch.equal(eps(mu, seed=1, num_samples=2, shard=shard), eps(mu, seed=1, num_samples=2))
    assert not torch.equal(eps(mu, seed=1, num_samples=2, shard=(0, TOTAL + 1)), eps(mu, seed=1, num_samples=2))


@pytest.mark.usefixtures("backend")
def test_generators_in_one_state_are_one_seed() -> None:
    """What is drawn from a generator does not depend on the shard."""
    mu = torch.zeros(TOTAL, 6)
    generator = torch.Generator()
    whole = eps(mu, generator=generator.manual_seed(5))
    after = generator.get_state()
    torch.manual_seed(5)
    from_default = eps(mu)
    for start, rows in PARTS:
        at, shard = slice(start, start + rows), (start, TOTAL)
        assert torch.equal(eps(mu[at], generator=generator.manual_seed(5), shard=shard), whole[at])
        assert torch.equal(generator.get_state(), after)
        torch.manual_seed(5)
        assert torch.equal(eps(mu[at], shard=shard), from_default[at])


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_recomputes_it(reentrant: bool) -> None:
    mu, scale, _ = (each.requires_grad_() for each in leaves(4, 6))
    torch.manual_seed(2)
    z = checkpoint(lambda *both: F.reparameterize(*both, shard=(3, TOTAL)), mu, scale, use_reentrant=reentrant)
    z.sum().backward()
    torch.manual_seed(2)
    twin = scale.detach().requires_grad_()
    F.reparameterize(mu.detach(), twin, shard=(3, TOTAL)).sum().backward()
    assert torch.equal(scale.grad, twin.grad)


@pytest.mark.filterwarnings("ignore:<class 'torch.autograd.function.Function'> should not be")
def test_compiled_once_for_all_starts() -> None:
    """The first call is compiled with its numbers, the second without them, and no further one."""
    torch._dynamo.reset()
    graphs = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    def draw(mu: Tensor, scale: Tensor, start: int, total: int) -> tuple[Tensor, Tensor]:
        return F.reparameterize_kl(mu, scale, seed=6, num_samples=2, reduction="sample", shard=(start, total))

    compiled = torch.compile(draw, fullgraph=True, backend=count)
    tensors = leaves(4, 6)
    for start, total in ((2, 9), (3, 11), (5, 30), (2**40, 2**41)):
        mine = evaluated(compiled, *tensors, start=start, total=total)
        for one, other in zip(mine, evaluated(draw, *tensors, start=start, total=total), strict=True):
            assert torch.equal(one, other)
    assert len(graphs) <= 2


@pytest.mark.filterwarnings("ignore:<class 'torch.autograd.function.Function'> should not be")
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@pytest.mark.parametrize("compiler", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compilers_draw_the_same(compiler: str) -> None:
    tensors = leaves(4, 6)

    def draw(mu: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return F.reparameterize_kl(mu, scale, seed=6, reduction="sample", shard=(2, 9))

    mine = evaluated(torch.compile(draw, fullgraph=True, backend=compiler), *tensors)
    for one, other in zip(mine, evaluated(draw, *tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=3e-7, atol=0)


@pytest.mark.parametrize("seeds", ["shared", "one a row"])
@pytest.mark.parametrize("num_samples", [None, 2])
def test_vmap_is_a_loop(seeds: str, num_samples: int | None) -> None:
    """Each row of the map is a shard of its own batch."""
    mu, scale, _ = leaves(2, 4, 6)
    seed = torch.tensor([[3], [3 if seeds == "shared" else 4]])

    def draw(mu: Tensor, scale: Tensor, seed: Tensor) -> Tensor:
        return F.reparameterize_kl(mu, scale, seed=seed, num_samples=num_samples, shard=(2, TOTAL))[0]

    together = vmap(draw, in_dims=(0, 0, None if seeds == "shared" else 0))
    given = (mu, scale, seed[0] if seeds == "shared" else seed)
    one_by_one = [draw(*each) for each in zip(mu, scale, seed, strict=True)]
    assert torch.equal(together(*given), torch.stack(one_by_one))
    slopes = grad(lambda *all_of: together(*all_of).sum(), argnums=1)(*given)
    of_each = [grad(lambda *one: draw(*one).sum(), argnums=1)(*each) for each in zip(mu, scale, seed, strict=True)]
    assert torch.equal(slopes, torch.stack(of_each))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_meta(backend: str) -> None:
    mu = torch.zeros(4, 6, device="meta")
    with fastvae.use_backend(backend):
        z = F.reparameterize(mu, mu, seed=1, num_samples=3, shard=(2, TOTAL))
    assert z.shape == (3, 4, 6)
    assert z.is_meta


SAMPLERS: list[Callable[..., Any]] = [
    lambda mu, **options: F.reparameterize(mu, mu, **options),
    lambda mu, **options: F.reparameterize_kl(mu, mu, **options),
    lambda mu, **options: F.reparameterize_kl_packed(mu, **options),
    lambda mu, **options: fastvae.DiagonalGaussian(mu, mu).sample(**options),
    lambda mu, **options: fastvae.DiagonalGaussian(mu, mu).rsample_kl(**options),
]


@pytest.mark.parametrize("call", SAMPLERS)
@pytest.mark.parametrize(
    ("shard", "error", "message"),
    [
        (3, TypeError, r"shard: got 3; takes None or a pair of ints \(start, total\)"),
        ((1, 2, 3), TypeError, "shard: got .* a pair of ints"),
        ((0.0, 9), TypeError, "shard: got .* a pair of ints"),
        ((False, 9), TypeError, "shard: got .* a pair of ints"),
        ((-1, 9), ValueError, r"shard: got \(-1, 9\) with a batch of 4; takes \(start, total\)"),
        ((6, 9), ValueError, r"where 0 <= start and start \+ 4 <= total"),
        ((0, 3), ValueError, r"shard: got \(0, 3\)"),
        ((0, 2**62), ValueError, r"shard: got .* takes less than 2\*\*63 elements"),
    ],
)
def test_mistakes_are_named(call: Callable[..., Any], shard: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(torch.zeros(4, 6), seed=1, shard=shard)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_the_callers_own_noise_has_no_shard(backend: str) -> None:
    mu = torch.zeros(4, 6)
    with fastvae.use_backend(backend), pytest.raises(ValueError, match="shard: got a value with eps"):
        F.reparameterize(mu, mu, eps=mu, shard=(0, 4))


def test_a_row_of_no_elements() -> None:
    for name in ("cpp", "reference", "triton"):
        with on(name):
            assert eps(torch.zeros(2, 0), seed=1, num_samples=3, shard=(1, 4)).shape == (3, 2, 0)
