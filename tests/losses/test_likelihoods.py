"""The likelihoods of ELBOLoss against plain formulas and torch.distributions."""

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor, nn

import fastvae
from fastvae import ELBOLoss
from fastvae._likelihoods import LIKELIHOODS
from tests.losses.formulas import BATCH, DENSITY, EXACT, NLL, Batch, assert_same, elbo


def test_every_likelihood_has_its_formula_here() -> None:
    assert NLL.keys() == DENSITY.keys() == LIKELIHOODS.keys()


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
    target = b.target.round() if likelihood.startswith(("bernoulli", "poisson")) else b.target
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
