"""The negative binomial as a likelihood of a model: against torch.distributions, what it draws, and mistakes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastvae import VAE, ELBOLoss, use_backend
from fastvae.losses import NegativeBinomial

BATCH, GENES = 7, 5


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def log_prob(log_mean: Tensor, log_theta: Tensor, logits: Tensor | None, target: Tensor) -> Tensor:
    """By torch's negative binomial, whose logits are log mean - log theta."""
    counts = torch.distributions.NegativeBinomial(log_theta.exp(), logits=log_mean - log_theta)
    values = counts.log_prob(target)
    if logits is None:
        return values.sum(1)
    inflated = torch.where(target == 0, torch.nn.functional.logsigmoid(logits), torch.full_like(values, -torch.inf))
    return torch.logaddexp(inflated, torch.nn.functional.logsigmoid(-logits) + values).sum(1)


@pytest.mark.parametrize("zero_inflated", [False, True])
@pytest.mark.parametrize("features", [None, GENES])
@pytest.mark.parametrize("packed", [False, True])
def test_the_density_is_that_of_torch_distributions(packed: bool, features: int | None, zero_inflated: bool) -> None:
    density = NegativeBinomial(features, zero_inflated=zero_inflated).double()
    parts = [drawn(BATCH, GENES, seed=seed) for seed in range(density.num_parts)]
    target = torch.poisson(drawn(BATCH, GENES, seed=9).exp(), generator=torch.Generator().manual_seed(0))
    log_theta = torch.zeros(GENES, dtype=torch.float64) if features else parts[1]
    expected = log_prob(parts[0], log_theta, parts[-1] if zero_inflated else None, target)
    prediction = torch.cat(parts, 1) if packed else tuple(parts)
    torch.testing.assert_close(density.log_prob(prediction, target), expected)
    torch.testing.assert_close(ELBOLoss(density).log_prob(prediction, target), expected)
    loss = ELBOLoss(density)(prediction, target, torch.zeros(BATCH, dtype=torch.float64))
    torch.testing.assert_close(loss.loss, -expected.mean())
    torch.testing.assert_close(loss.reconstruction, -expected)


@pytest.mark.parametrize("zero_inflated", [False, True])
def test_draws_have_the_moments_of_the_density(zero_inflated: bool) -> None:
    density = NegativeBinomial(zero_inflated=zero_inflated)
    log_mean, log_theta, logits = (torch.full((40_000, 1), value) for value in (1.0, 0.5, -1.0))
    prediction = (log_mean, log_theta, logits)[: density.num_parts]
    counts = density.sample(prediction, seed=3)
    assert torch.equal(counts, density.sample(prediction, seed=3))
    mean, theta = torch.tensor(1.0).exp().double(), torch.tensor(0.5).exp().double()
    kept = torch.sigmoid(torch.tensor(1.0)).double() if zero_inflated else torch.ones((), dtype=torch.float64)
    variance = kept * (mean + mean**2 / theta + mean**2) - (kept * mean) ** 2
    error = (variance / len(counts)).sqrt()
    assert (counts.double().mean() - kept * mean).abs() < 4 * error
    torch.testing.assert_close(counts.double().var(), variance, rtol=0.05, atol=0)
    torch.testing.assert_close(density.mean(prediction).double()[0, 0], kept * mean, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("options", "parts"), [({}, 2), ({"features": 5}, 1), ({"zero_inflated": True}, 3)])
def test_what_the_decoder_must_give(options: dict[str, Any], parts: int) -> None:
    assert NegativeBinomial(**options).decoder_channels(GENES) == parts * GENES


@pytest.mark.parametrize("name", ["negative_binomial", "zero_inflated_negative_binomial"])
def test_the_reference_backend_gives_the_same(name: str) -> None:
    torch.manual_seed(0)
    prediction = torch.randn(BATCH, (2 if name == "negative_binomial" else 3) * GENES, dtype=torch.float64)
    counts, kl = torch.poisson(torch.full((BATCH, GENES), 3.0)), torch.zeros(BATCH)
    found = []
    for backend in ("auto", "reference"):
        leaf = prediction.clone().requires_grad_()
        with use_backend(backend):
            output = ELBOLoss(name)(leaf, counts, kl)
            found.append([output.loss, output.reconstruction, *torch.autograd.grad(output.loss, [leaf])])
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["negative_binomial", "zero_inflated_negative_binomial"])
def test_a_model_takes_it_by_name(name: str) -> None:
    parts = 2 if name == "negative_binomial" else 3
    model = VAE(nn.Linear(GENES, 4), nn.Linear(2, parts * GENES), likelihood=name)
    counts = torch.poisson(torch.full((BATCH, GENES), 3.0))
    output = model(counts)
    output.loss.backward()
    assert output.loss.isfinite()
    assert model.reconstruct(counts).shape == counts.shape


def test_a_dispersion_of_each_gene_is_learned() -> None:
    density = NegativeBinomial(GENES)
    model = VAE(nn.Linear(GENES, 4), nn.Linear(2, GENES), likelihood=density)
    model(torch.poisson(torch.full((BATCH, GENES), 3.0))).loss.backward()
    assert density.log_inverse_dispersion in set(model.parameters())
    assert (density.log_inverse_dispersion.grad != 0).all()


def test_mistakes_are_named() -> None:
    counts = torch.ones(BATCH, GENES)
    with pytest.raises(ValueError, match="prediction: got size 5 along dim 1; takes 2 parts of one size"):
        NegativeBinomial()(counts, counts)
    with pytest.raises(TypeError, match="prediction: got 3; takes 2 tensors, or one that is packed"):
        NegativeBinomial()((counts, counts, counts), counts)
    with pytest.raises(ValueError, match="seed, generator: got both"):
        NegativeBinomial(GENES).sample(counts, seed=1, generator=torch.Generator())
    assert repr(NegativeBinomial(GENES, zero_inflated=True)) == "NegativeBinomial(features=(5,), zero_inflated=True)"
