"""ELBOLoss and its schedules against plain formulas."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor, nn

import fastvae
import fastvae.functional as F
from fastvae import DiagonalGaussian, ELBOLoss, LinearWarmup
from fastvae._likelihoods import LIKELIHOODS

# A few hundred float64 terms with a few roundings of 2.2e-16 each.
EXACT = {"rtol": 1e-12, "atol": 1e-13}
BATCH, LATENT = 5, 3
LOG_SCALE = 0.4

NLL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bernoulli": lambda p, x: T.binary_cross_entropy_with_logits(p, x, reduction="none"),
    "bernoulli_probs": lambda p, x: T.binary_cross_entropy(p, x, reduction="none"),
    "gaussian": lambda p, x: 0.5 * (p - x) ** 2,
    "squared_error": lambda p, x: (p - x) ** 2,
    "laplace": lambda p, x: (p - x).abs(),
    "gaussian_learned": lambda p, x: 0.5 * ((p - x) / math.exp(LOG_SCALE)) ** 2 + LOG_SCALE,
    "laplace_learned": lambda p, x: (p - x).abs() / math.exp(LOG_SCALE) + LOG_SCALE,
}
DENSITY: dict[str, Callable[[Tensor], torch.distributions.Distribution]] = {
    "bernoulli": lambda p: torch.distributions.Bernoulli(logits=p),
    "bernoulli_probs": lambda p: torch.distributions.Bernoulli(p),
    "gaussian": lambda p: torch.distributions.Normal(p, 1.0),
    "squared_error": lambda p: torch.distributions.Normal(p, math.sqrt(0.5)),
    "laplace": lambda p: torch.distributions.Laplace(p, 1.0),
    "gaussian_learned": lambda p: torch.distributions.Normal(p, math.exp(LOG_SCALE)),
    "laplace_learned": lambda p: torch.distributions.Laplace(p, math.exp(LOG_SCALE)),
}


def test_every_likelihood_has_its_formula_here() -> None:
    assert NLL.keys() == DENSITY.keys() == LIKELIHOODS.keys()


class Batch:
    """prediction (probabilities, which every likelihood takes), target, posterior and the KL by the plain formula."""

    def __init__(self, samples: tuple[int, ...] = ()) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=generator)

        self.prediction = draw(*samples, BATCH, 2, 3).sigmoid().requires_grad_()
        self.target = draw(BATCH, 2, 3).sigmoid()
        self.mu = draw(BATCH, LATENT).requires_grad_()
        self.logvar = draw(BATCH, LATENT).requires_grad_()
        self.posterior = DiagonalGaussian(self.mu, self.logvar)
        self.elements = 0.5 * (self.mu**2 + self.logvar.exp() - 1 - self.logvar)
        self.kl = self.elements.sum(1)

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        return self.prediction, self.mu, self.logvar


def elbo(likelihood: Any = None, **options: Any) -> ELBOLoss:
    loss = ELBOLoss(likelihood, **options).double()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.fill_(LOG_SCALE)
    return loss


def assert_same(ours: Tensor, theirs: Tensor, leaves: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(ours, theirs, **EXACT)
    upstream = torch.linspace(0.5, 1.5, ours.numel(), dtype=torch.float64).reshape(ours.shape)
    got, expected = (torch.autograd.grad(loss, leaves, upstream, retain_graph=True) for loss in (ours, theirs))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("reduction", ["batchmean", "sample"])
@pytest.mark.parametrize("likelihood", NLL)
def test_likelihoods(likelihood: str, reduction: str, backend: str) -> None:
    b = Batch()
    nll = NLL[likelihood](b.prediction, b.target).flatten(1).sum(1)
    expected = nll + 0.7 * b.kl
    with fastvae.use_backend(backend):
        output = elbo(likelihood, beta=0.7, reduction=reduction)(b.prediction, b.target, b.posterior)
    assert_same(output.loss, expected.mean() if reduction == "batchmean" else expected, b.leaves)
    torch.testing.assert_close(output.reconstruction, nll.detach(), **EXACT)
    torch.testing.assert_close(output.kl, b.kl.detach(), **EXACT)
    assert not output.reconstruction.requires_grad
    assert not output.kl.requires_grad


@pytest.mark.parametrize("reduction", ["batchmean", "sample"])
@pytest.mark.parametrize("likelihood", NLL)
def test_several_samples_against_one_batch(likelihood: str, reduction: str) -> None:
    b = Batch(samples=(4,))
    target = b.target.expand(4, *b.target.shape)
    nll = NLL[likelihood](b.prediction, target).flatten(2).sum(2)
    output = elbo(likelihood, reduction=reduction)(b.prediction, target, b.posterior, batch_dims=2)
    expected = nll + b.kl
    assert_same(output.loss, expected.mean() if reduction == "batchmean" else expected, b.leaves)
    torch.testing.assert_close(output.reconstruction, nll.detach(), **EXACT)


@pytest.mark.parametrize("likelihood", ["gaussian_learned", "laplace_learned"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_learned_scale_has_the_gradient_of_the_formula(likelihood: str, weighted: bool) -> None:
    b = Batch()
    loss = elbo(likelihood)
    (s,) = loss.parameters()
    weight = torch.rand(BATCH, 1, 3, dtype=torch.float64) if weighted else torch.ones((), dtype=torch.float64)
    error = (b.prediction - b.target) / s.exp()
    nll = weight * ((0.5 * error**2 if likelihood == "gaussian_learned" else error.abs()) + s)
    output = loss(b.prediction, b.target, b.posterior, weight=weight if weighted else None)
    assert_same(output.loss, nll.sum() / BATCH + b.kl.mean(), (*b.leaves, s))


@pytest.mark.parametrize("likelihood", NLL)
def test_log_prob_is_normalized(likelihood: str) -> None:
    b = Batch()
    target = b.target.round() if likelihood.startswith("bernoulli") else b.target
    expected = DENSITY[likelihood](b.prediction).log_prob(target).flatten(1).sum(1)
    assert_same(elbo(likelihood).log_prob(b.prediction, target), expected, (b.prediction,))


@pytest.mark.parametrize("likelihood", NLL)
def test_the_mean_in_data_space(likelihood: str) -> None:
    prediction = Batch().prediction
    mean = elbo(likelihood).mean(prediction)
    torch.testing.assert_close(mean, DENSITY[likelihood](prediction).mean, **EXACT)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "laplace"])
@pytest.mark.parametrize("kind", [torch.bool, torch.float64])
def test_weights_are_masks(likelihood: str, kind: torch.dtype) -> None:
    b = Batch()
    mask = torch.arange(BATCH * 3).reshape(BATCH, 1, 3) % 3 > 0
    expected = (NLL[likelihood](b.prediction, b.target) * mask).sum() / BATCH + b.kl.mean()
    output = elbo(likelihood)(b.prediction, b.target, b.posterior, weight=mask.to(kind))
    assert_same(output.loss, expected, b.leaves)


@pytest.mark.parametrize("reduction", ["batchmean", "sample"])
@pytest.mark.parametrize("samples", [None, 3])
def test_a_callable_likelihood(samples: int | None, reduction: str) -> None:
    b = Batch(samples=() if samples is None else (samples,))
    target = b.target if samples is None else b.target.expand(samples, *b.target.shape)

    def huber(prediction: Tensor, x: Tensor) -> Tensor:
        return T.smooth_l1_loss(prediction, x, reduction="none").flatten(1).sum(1)

    nll = T.smooth_l1_loss(b.prediction, target, reduction="none").flatten(-2).sum(-1)
    expected = nll + b.kl
    output = elbo(huber, reduction=reduction)(b.prediction, target, b.posterior, batch_dims=target.dim() - 2)
    assert_same(output.loss, expected.mean() if reduction == "batchmean" else expected, b.leaves)


def test_a_module_as_likelihood_is_trained_and_saved() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.s = nn.Parameter(torch.zeros((), dtype=torch.float64))

        def forward(self, prediction: Tensor, x: Tensor) -> Tensor:
            return ((prediction - x).abs() * self.s.exp()).flatten(1).sum(1)

    b = Batch()
    loss = ELBOLoss(Scaled())
    loss(b.prediction, b.target, b.posterior).loss.backward()
    (s,) = loss.parameters()
    assert s.grad is not None
    assert len(loss.state_dict()) == 1


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
    original = fastvae._ops.scale_gradient
    monkeypatch.setattr(
        fastvae._ops,
        "scale_gradient",
        lambda grad, upstream: upstreams.append(float(upstream)) or original(grad, upstream),
    )
    for likelihood in (name for name, row in LIKELIHOODS.items() if not row.learned_scale):
        b = Batch()
        elbo(likelihood, beta=0.3, free_bits=0.1)(b.prediction, b.target, b.posterior).loss.backward()
    b = Batch()
    ELBOLoss("gaussian", preset="disentangling-vae")(b.prediction, b.target, b.posterior).loss.backward()
    assert set(upstreams) == {1.0}
