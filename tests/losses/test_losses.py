"""ELBOLoss and its schedules against plain formulas."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fastvae
import fastvae.functional as F
from fastvae import DiagonalGaussian, ELBOLoss, LinearWarmup
from fastvae._likelihoods import LIKELIHOODS
from tests.losses.formulas import BATCH, EXACT, NLL, Batch, assert_same, elbo


@pytest.mark.parametrize("form", ["posterior", "sample", "elementwise"])
def test_forms_of_the_kl(form: str) -> None:
    b = Batch()
    given = {"posterior": b.posterior, "sample": b.kl, "elementwise": b.elements}[form]
    expected = NLL["bernoulli"](b.prediction, b.target).sum() / BATCH + b.kl.mean()
    assert_same(elbo()(b.prediction, b.target, given).loss, expected, b.leaves)


def test_a_learned_prior() -> None:
    b, p = Batch(), Batch()
    mu_p, logvar_p = p.mu.detach().flip(0).requires_grad_(), p.logvar.detach().flip(0).requires_grad_()
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(
        normal(b.mu, (0.5 * b.logvar).exp()), normal(mu_p, (0.5 * logvar_p).exp())
    ).sum(1)
    expected = NLL["bernoulli"](b.prediction, b.target).sum() / BATCH + kl.mean()
    for prior in ((mu_p, logvar_p), DiagonalGaussian(mu_p, logvar_p)):
        output = elbo()(b.prediction, b.target, b.posterior, prior=prior)
        assert_same(output.loss, expected, (*b.leaves, mu_p, logvar_p))


@pytest.mark.parametrize("reduction", ["batchmean", "sample"])
def test_the_monte_carlo_kl(reduction: str) -> None:
    b = Batch()
    z = b.posterior.rsample(seed=0)
    normal = torch.distributions.Normal
    log_q = normal(b.mu, (0.5 * b.logvar).exp()).log_prob(z).sum(1)
    log_p = normal(torch.zeros_like(z), 1.0).log_prob(z).sum(1)
    expected = NLL["bernoulli"](b.prediction, b.target).flatten(1).sum(1) + log_q - log_p
    output = elbo(kl_estimator="monte_carlo", reduction=reduction)(b.prediction, b.target, b.posterior, z=z)
    assert_same(output.loss, expected.mean() if reduction == "batchmean" else expected, b.leaves)


def test_importance_weighted_training() -> None:
    b = Batch(samples=(4,))
    target = b.target.expand(4, *b.target.shape)
    z = b.posterior.rsample(4, seed=0)
    loss = elbo("gaussian", kl_estimator="monte_carlo", reduction="sample")
    negative_log_w = loss(b.prediction, target, b.posterior, z=z, batch_dims=2).loss
    ours = -F.importance_weighted_bound(-negative_log_w).mean()
    normal = torch.distributions.Normal
    log_w = -NLL["gaussian"](b.prediction, target).flatten(2).sum(2)
    log_w = log_w + normal(torch.zeros_like(z), 1.0).log_prob(z).sum(2)
    log_w = log_w - normal(b.mu, (0.5 * b.logvar).exp()).log_prob(z).sum(2)
    assert_same(ours, -(torch.logsumexp(log_w, 0) - math.log(4)).mean(), b.leaves)


@pytest.mark.parametrize("given", [0.0, 0.5, torch.tensor(0.5), torch.tensor(0.5, dtype=torch.float64), "schedule"])
def test_beta_as_float_tensor_and_schedule(given: Any) -> None:
    b = Batch()
    if given == "schedule":
        given = LinearWarmup(0.0, 1.0, 4)
        for _ in range(2):
            given.step()
    value = 0.5 if isinstance(given, LinearWarmup) else float(given)
    expected = NLL["bernoulli"](b.prediction, b.target).sum() / BATCH + value * b.kl.mean()
    assert_same(elbo(beta=given)(b.prediction, b.target, b.posterior).loss, expected, b.leaves)


def test_a_beta_tensor_changed_in_place_is_followed() -> None:
    b = Batch()
    beta = torch.tensor(0.0)
    loss = elbo(beta=beta)
    before = loss(b.prediction, b.target, b.posterior).loss
    beta.fill_(2.0)
    torch.testing.assert_close(loss(b.prediction, b.target, b.posterior).loss - before, 2 * b.kl.mean(), **EXACT)


@pytest.mark.parametrize("beta", [torch.tensor(0.5, dtype=torch.float64), LinearWarmup(0.0, 1.0, 2)])
def test_beta_never_changes_the_dtype_of_the_loss(beta: Any) -> None:
    x = torch.rand(2, 4)
    assert ELBOLoss(beta=beta)(x, x, torch.rand(2)).loss.dtype == torch.float32


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_a_capacity_never_changes_the_dtype_of_the_loss(per: str) -> None:
    x, capacity = torch.rand(2, 4), torch.tensor(0.5, dtype=torch.float64)
    loss = ELBOLoss(capacity=capacity, capacity_per=per)
    assert loss(x, x, torch.rand(2)).loss.dtype == torch.float32


BITS = 0.6


@pytest.mark.parametrize(
    ("per", "expected"),
    [
        ("sample", lambda elements: elements.sum(1).clamp(min=BITS).mean()),
        ("dimension", lambda elements: elements.clamp(min=BITS).sum(1).mean()),
        ("batch_dimension", lambda elements: elements.mean(0).clamp(min=BITS).sum()),
    ],
)
def test_free_bits(per: str, expected: Callable[[Tensor], Tensor]) -> None:
    b = Batch()
    with torch.no_grad():
        b.mu[:2] *= 0.1
        b.logvar[:2] *= 0.1
        b.logvar[:, 0] *= 0.1
        b.mu[:, 0] *= 0.1
    b = rebuilt(b)
    bound = b.elements.mean(0) if per == "batch_dimension" else b.elements.sum(1) if per == "sample" else b.elements
    assert (bound < BITS).any()
    assert (bound > BITS).any()
    theirs = NLL["bernoulli"](b.prediction, b.target).sum() / BATCH + 1.5 * expected(b.elements)
    output = elbo(beta=1.5, free_bits=BITS, free_bits_per=per)(b.prediction, b.target, b.posterior)
    assert_same(output.loss, theirs, b.leaves)
    torch.testing.assert_close(output.kl, b.kl.detach(), **EXACT)


def rebuilt(b: Batch) -> Batch:
    b.posterior = DiagonalGaussian(b.mu, b.logvar)
    b.elements = 0.5 * (b.mu**2 + b.logvar.exp() - 1 - b.logvar)
    b.kl = b.elements.sum(1)
    return b


def test_free_bits_per_dimension_of_a_spatial_latent() -> None:
    mu, logvar = torch.randn(2, BATCH, 2, 2, 2, dtype=torch.float64).unbind()
    elements = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
    x = torch.rand(BATCH, 4, dtype=torch.float64)
    nll = NLL["bernoulli"](x, x).sum(1)
    loss = elbo(free_bits=BITS, free_bits_per="dimension", reduction="sample")
    output = loss(x, x, DiagonalGaussian(mu, logvar))
    torch.testing.assert_close(output.loss, nll + elements.clamp(min=BITS).sum((1, 2, 3)), **EXACT)
    torch.testing.assert_close(output.kl, elements.sum((1, 2, 3)), **EXACT)


@pytest.mark.parametrize("capacity", [0.5, 3.0, torch.tensor(3.0), LinearWarmup(3.0, 3.0, 1)])
@pytest.mark.parametrize("per", ["batch", "sample", None])
def test_capacity(per: str | None, capacity: Any) -> None:
    b = Batch()
    value = float(capacity()) if isinstance(capacity, LinearWarmup) else float(capacity)
    penalty = (b.kl - value).abs().mean() if per == "sample" else (b.kl.mean() - value).abs()
    expected = NLL["bernoulli"](b.prediction, b.target).sum() / BATCH + 10 * penalty
    output = elbo(beta=10.0, capacity=capacity, capacity_per=per)(b.prediction, b.target, b.posterior)
    assert_same(output.loss, expected, b.leaves)


def test_the_common_path_scales_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient written in forward must see an upstream of exactly 1, whatever constant the likelihood has."""
    upstreams = []
    original = fastvae._ops.scale_gradients
    monkeypatch.setattr(
        fastvae._ops,
        "scale_gradients",
        lambda *given: upstreams.append(float(given[-1])) or original(*given),
    )
    for likelihood in (name for name, row in LIKELIHOODS.items() if not row.learned_scale):
        b = Batch()
        elbo(likelihood, beta=0.3, free_bits=0.1)(b.prediction, b.target, b.posterior).loss.backward()
    b = Batch()
    ELBOLoss("gaussian", preset="disentangling-vae")(b.prediction, b.target, b.posterior).loss.backward()
    assert set(upstreams) == {1.0}
