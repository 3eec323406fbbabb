"""Noise under torch.func.vmap: as its `randomness` says, as torch's own random functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

import fastvae
import fastvae.functional as F

ROWS, SHAPE = 4, (3, 10)
DRAWING: dict[str, Callable[..., Tensor]] = {
    "reparameterize": lambda mu, **options: F.reparameterize(mu, mu, **options),
    "reparameterize_kl": lambda mu, **options: F.reparameterize_kl(mu, mu, **options)[0],
    "reparameterize_kl_packed": lambda mu, **options: F.reparameterize_kl_packed(torch.cat((mu, mu), 1), **options)[0],
    "of what is shared": lambda mu, **options: 0 * mu + F.reparameterize(torch.zeros(SHAPE), torch.zeros(SHAPE)),
}
ZEROS = torch.zeros(ROWS, *SHAPE)
RAISES = "called random operation while in randomness error mode"
"""torch's own words."""


def drawn(name: str, randomness: str, **options: Any) -> Tensor:
    return vmap(lambda mu: DRAWING[name](mu, **options), randomness=randomness)(ZEROS)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("generator", [False, True])
@pytest.mark.parametrize("name", DRAWING)
class TestRandomness:
    """As torch.randn_like under the same vmap."""

    def options(self, generator: bool) -> dict[str, Any]:
        return {"generator": torch.Generator().manual_seed(1)} if generator else {}

    def test_the_same_in_each_row(self, name: str, generator: bool, backend: str) -> None:
        with fastvae.use_backend(backend):
            z = drawn(name, "same", **self.options(generator))
        assert all(torch.equal(row, z[0]) for row in z)
        assert z[0].unique().numel() > 1

    def test_another_in_each_row(self, name: str, generator: bool, backend: str) -> None:
        with fastvae.use_backend(backend):
            z = drawn(name, "different", **self.options(generator))
        assert len({tuple(row.flatten().tolist()) for row in z}) == ROWS

    def test_an_error(self, name: str, generator: bool, backend: str) -> None:
        with fastvae.use_backend(backend), pytest.raises(RuntimeError, match=RAISES):
            drawn(name, "error", **self.options(generator))
        with pytest.raises(RuntimeError, match=RAISES):
            vmap(torch.randn_like)(ZEROS)


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_randomness_is_drawn_from_torch(randomness: str) -> None:
    torch.manual_seed(3)
    first = drawn("reparameterize", randomness)
    assert not torch.equal(drawn("reparameterize", randomness), first)
    torch.manual_seed(3)
    assert torch.equal(drawn("reparameterize", randomness), first)


@pytest.mark.parametrize("num_samples", [None, 3])
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_backward_has_the_noise_of_forward(randomness: str, num_samples: int | None) -> None:
    """With sigma = raw, the gradient by the raw scale is eps."""
    mu, raw = torch.ones(ROWS, *SHAPE), torch.ones(ROWS, *SHAPE)

    def loss(raw: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
        z = F.reparameterize(mu, raw, parameterization="std", num_samples=num_samples)
        return z.sum(), z - mu

    gradient, eps = vmap(grad(loss, has_aux=True), randomness=randomness)(raw, mu)
    expected = eps if num_samples is None else eps.sum(1)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("num_samples", [None, 3])
def test_a_seed_of_each_row(num_samples: int | None, backend: str) -> None:
    seeds = torch.tensor([[5], [-7], [2**40], [5]])
    mu = torch.linspace(-1, 1, ROWS * 30).view(ROWS, *SHAPE)

    def sample(mu: Tensor, seed: Tensor | int) -> Tensor:
        return F.reparameterize(mu, mu, seed=seed, num_samples=num_samples)

    with fastvae.use_backend(backend):
        found = vmap(sample)(mu, seeds)
        expected = torch.stack([sample(*pair) for pair in zip(mu, seeds, strict=True)])
        of_one = vmap(lambda mu: sample(mu, 5))(mu)
        shared = torch.stack([sample(row, 5) for row in mu])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(of_one, shared, rtol=0, atol=0)


@pytest.mark.parametrize("outer", ["same", "different"])
@pytest.mark.parametrize("inner", ["same", "different"])
def test_randomness_of_rows_of_rows(outer: str, inner: str) -> None:
    z = vmap(vmap(lambda mu: F.reparameterize(mu, mu), randomness=inner), randomness=outer)(torch.zeros(2, 3, 4))
    assert torch.equal(z[0], z[1]) == (outer == "same")
    assert torch.equal(z[0, 0], z[0, 1]) == (inner == "same")
