"""DIP and MMD against their definitions, pair by pair, and what they are of distributions that match."""

import pytest
import torch
from torch import Tensor

from fastvae.losses import DIP, MMD


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["i", "ii"])
def test_dip_is_its_definition(kind: str) -> None:
    mu, variance = drawn(9, 2, 2).requires_grad_(), drawn(9, 2, 2, seed=1).exp()
    covariance = torch.cov(mu.flatten(1).T, correction=0)
    if kind == "ii":
        covariance = covariance + torch.diag(variance.flatten(1).mean(0))
    off = covariance - torch.diag(covariance.diagonal())
    expected = 3.0 * off.square().sum() + 5.0 * (covariance.diagonal() - 1).square().sum()
    regularizer = DIP(kind, off_diagonal=3.0, diagonal=5.0)
    ours = regularizer(mu) if kind == "i" else regularizer(mu, variance)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, mu, retain_graph=True)[0] for value in (ours, expected)))


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_is_its_definition(kernel: str) -> None:
    z, prior = drawn(6, 3).requires_grad_(), drawn(6, 3, seed=1)

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        scale, distance = 2 * 3 * 0.5**2, (a - b).square().sum()
        return scale / (scale + distance) if kernel == "imq" else (-distance / scale).exp()

    pairs = [(i, j) for i in range(6) for j in range(6)]
    within = sum(similarity(a[i], a[j]) for a in (z, prior) for i, j in pairs if i != j) / 30
    expected = 2.0 * (within - 2 * sum(similarity(z[i], prior[j]) for i, j in pairs) / 36)
    ours = MMD(kernel, bandwidth=0.5, weight=2.0)(z, prior=prior)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, z, retain_graph=True)[0] for value in (ours, expected)))


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_tells_the_prior_from_another_distribution(kernel: str) -> None:
    z = drawn(2000, 4)
    generator = torch.Generator().manual_seed(7)
    same = MMD(kernel)(z, generator=generator)
    other = MMD(kernel)(0.5 * z + 1, generator=generator)
    # The unbiased estimate is within a few 1/n of zero.
    assert same.abs() < 5e-3
    assert other > 0.05


def test_half_precision_is_computed_in_float32() -> None:
    z = drawn(8, 4).to(torch.bfloat16)
    for value in (DIP()(z), MMD()(z, prior=z)):
        assert value.dtype == torch.float32
        assert value.isfinite()


def test_mistakes_are_named() -> None:
    z = drawn(4, 3)
    with pytest.raises(ValueError, match="kind: got 'iii'"):
        DIP("iii")
    with pytest.raises(ValueError, match="variance: got None with kind='ii'; takes the posteriors' variances"):
        DIP("ii")(z)
    with pytest.raises(ValueError, match=r"variance: got float64\[4, 3\] with kind='i'; takes None"):
        DIP()(z, z)
    with pytest.raises(ValueError, match="kernel: got 'linear'"):
        MMD("linear")
    with pytest.raises(ValueError, match=r"bandwidth: got 0\.0; takes a number greater than 0"):
        MMD(bandwidth=0.0)
    with pytest.raises(ValueError, match=r"z: got float64\[1, 3\]; takes \[batch, \.\.\.\], a batch of at least 2"):
        MMD()(z[:1])
    assert repr(DIP()) == "DIP(kind='i', off_diagonal=10.0, diagonal=100.0)"
    assert repr(MMD("rbf")) == "MMD(kernel='rbf', bandwidth=1.0, weight=1.0)"
