"""`torch.distributions.kl_divergence` takes a DiagonalGaussian."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Laplace, Normal, kl_divergence

from fastvae import DiagonalGaussian


@pytest.fixture
def tensors() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    mu, logvar, loc, raw = torch.randn(4, 6, 3, generator=generator, dtype=torch.float64)
    return mu.requires_grad_(), logvar.requires_grad_(), loc, raw.exp()


def test_to_normals(tensors: tuple[torch.Tensor, ...]) -> None:
    mu, logvar, loc, sigma = tensors
    posterior = DiagonalGaussian(mu, logvar)
    expected = kl_divergence(Normal(mu, torch.exp(0.5 * logvar)), Normal(loc, sigma)).sum(1)
    gaussian = DiagonalGaussian(loc, sigma, parameterization="std")
    for prior in (Normal(loc, sigma), Independent(Normal(loc, sigma), 1), gaussian):
        found = kl_divergence(posterior, prior)
        torch.testing.assert_close(found, expected)
        gradients = torch.autograd.grad(found.sum(), (mu, logvar))
        for gradient, other in zip(
            gradients, torch.autograd.grad(expected.sum(), (mu, logvar), retain_graph=True), strict=True
        ):
            torch.testing.assert_close(gradient, other)


def test_to_one_normal_for_all(tensors: tuple[torch.Tensor, ...]) -> None:
    mu, logvar, *_ = tensors
    found = kl_divergence(DiagonalGaussian(mu, logvar), Normal(0.0, 1.0))
    torch.testing.assert_close(found, DiagonalGaussian(mu, logvar).kl())


def test_others_are_refused(tensors: tuple[torch.Tensor, ...]) -> None:
    mu, logvar, loc, sigma = tensors
    with pytest.raises(NotImplementedError):
        kl_divergence(DiagonalGaussian(mu, logvar), Laplace(loc, sigma))
    with pytest.raises(NotImplementedError, match="takes Independent"):
        kl_divergence(DiagonalGaussian(mu, logvar), Independent(Laplace(loc, sigma), 1))
