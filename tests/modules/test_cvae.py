"""CVAE: its three objectives, prediction and conditional likelihoods, against plain PyTorch."""

import copy
import io
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastvae
from fastvae import CVAE
from tests.modules.tiny_cvae import (
    BATCH,
    CONDITION,
    EXACT,
    LATENT,
    TARGET,
    Generation,
    Recognition,
    assert_same,
    data,
    model,
    nll,
    normal,
    prior_of,
)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("samples", [(), (3,)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("objective", ["cvae", "gsnn", "hybrid"])
def test_objectives(objective: str, prior: bool, packed: bool, samples: tuple[int, ...], backend: str) -> None:
    weighted = {} if objective == "gsnn" else {"beta": 1.5}
    cvae = model(prior, packed, objective=objective, alpha=0.3, **weighted)
    condition, target = data()
    eps = torch.randn(*samples, BATCH, LATENT, dtype=torch.float64)
    with fastvae.use_backend(backend):
        output = cvae(condition, target, eps=eps, num_samples=samples[0] if samples else None)
    q, p = normal(cvae.recognition(target, condition)), prior_of(cvae, condition)
    kl = torch.distributions.kl_divergence(q, p).sum(1)
    conditional = nll(cvae, q.mean + q.stddev * eps, condition, target)
    stochastic = nll(cvae, p.mean + p.stddev * eps, condition, target)
    bound = conditional.mean() + 1.5 * kl.mean()
    expected = {"cvae": bound, "gsnn": stochastic.mean(), "hybrid": 0.3 * bound + 0.7 * stochastic.mean()}
    assert_same(output.loss, expected[objective], cvae)
    gsnn = objective == "gsnn"
    torch.testing.assert_close(output.reconstruction_loss, (stochastic if gsnn else conditional).detach(), **EXACT)
    torch.testing.assert_close(output.kl, (torch.zeros_like(kl) if gsnn else kl).detach(), **EXACT)
    torch.testing.assert_close(output.mu, (p if gsnn else q).mean, **EXACT)


@pytest.mark.parametrize("objective", ["cvae", "gsnn", "hybrid"])
def test_gradients_reach_the_networks_of_the_objective(objective: str) -> None:
    cvae = model(objective=objective, alpha=0.5, likelihood="gaussian_learned")
    cvae(*data()).loss.backward()
    for name, parameter in cvae.named_parameters():
        unused = objective == "gsnn" and name.startswith("recognition")
        assert (parameter.grad is None) == unused, name
        assert unused or (parameter.grad != 0).any(), name


def test_the_mean_latent_only_where_asked() -> None:
    condition, target = data()
    for training in (True, False):
        cvae = model().train(training)
        mu = cvae.encode(target, condition).mu
        assert not torch.equal(cvae(condition, target).z, mu)
        assert torch.equal(cvae(condition, target, sample=False).z, mu)
        gsnn = model(objective="gsnn").train(training)
        assert torch.equal(gsnn(condition, target, sample=False).z, gsnn.encode_prior(condition).mu)


def test_the_monte_carlo_kl_against_a_learned_prior() -> None:
    cvae, (condition, target) = model(kl_estimator="monte_carlo"), data()
    output = cvae(condition, target, seed=1)
    q, p = normal(cvae.recognition(target, condition)), prior_of(cvae, condition)
    z = q.mean + q.stddev * ((output.z - q.mean) / q.stddev).detach()
    expected = nll(cvae, z, condition, target) + (q.log_prob(z) - p.log_prob(z)).sum(1)
    assert_same(output.loss, expected.mean(), cvae)


def test_a_weighted_target() -> None:
    cvae, (condition, target) = model(likelihood="laplace"), data()
    weight = torch.rand(BATCH, 1, dtype=torch.float64)
    output = cvae(condition, target, sample=False, weight=weight)
    q, p = normal(cvae.recognition(target, condition)), prior_of(cvae, condition)
    error = (cvae.generation(q.mean, condition) - target).abs() * weight
    kl = torch.distributions.kl_divergence(q, p).sum(1).mean()
    assert_same(output.loss, error.sum(1).mean() + kl, cvae)


def test_prediction() -> None:
    cvae, (condition, _) = model(), data()
    mu = cvae.encode_prior(condition).mu
    deterministic = cvae.predict(condition)
    torch.testing.assert_close(deterministic, cvae.generation(mu, condition).sigmoid(), **EXACT)
    assert torch.equal(deterministic, cvae.predict(condition))
    samples = cvae.sample(condition, 4, seed=2)
    assert samples.shape == (4, BATCH, TARGET)
    z = cvae.encode_prior(condition).sample(4, seed=2)
    torch.testing.assert_close(samples, torch.stack([cvae.generation(one, condition).sigmoid() for one in z]), **EXACT)
    generator = torch.Generator().manual_seed(3)
    expected = torch.cat([cvae.sample(condition, n, generator=generator) for n in (4, 4, 2)]).mean(0)
    torch.testing.assert_close(cvae.predict(condition, num_samples=10, chunk_size=4, seed=3), expected, **EXACT)
    for result in (deterministic, samples):
        assert not result.requires_grad


def test_prediction_from_the_standard_prior() -> None:
    cvae, (condition, _) = model(prior=False), data()
    zeros = torch.zeros(BATCH, LATENT, dtype=torch.float64)
    torch.testing.assert_close(cvae.predict(condition), cvae.generation(zeros, condition).sigmoid(), **EXACT)
    assert torch.equal(cvae.decode(zeros, condition), cvae.generation(zeros, condition))
    assert torch.equal(cvae.decode(zeros, condition, mean=True), cvae.predict(condition))
    unseen = CVAE(cvae.recognition, cvae.generation)
    with pytest.raises(RuntimeError, match="latent_shape: got None and no input so far"):
        unseen.predict(condition)
    unseen(*data())
    assert torch.equal(unseen.predict(condition), cvae.predict(condition))


class Halves(nn.Module):
    """A recognition network for targets of any size: the latent has the target's."""

    def forward(self, target: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        return target, condition


class Mean(nn.Module):
    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        return condition * z.mean(1, keepdim=True)


def test_the_standard_prior_has_the_size_of_the_batchs_own_latent() -> None:
    cvae = CVAE(Halves(), Mean(), objective="hybrid", alpha=0.0, likelihood="gaussian")
    for size in (4, 6, 2):
        condition, target, eps = torch.randn(3, BATCH, size, dtype=torch.float64)
        prediction = condition * eps.mean(1, keepdim=True)
        loss = cvae(condition, target, eps=eps).loss
        torch.testing.assert_close(loss, 0.5 * (prediction - target).square().sum(1).mean(), **EXACT)


@pytest.mark.parametrize("objective", ["cvae", "hybrid"])
def test_importance_sampling_needs_no_latent_shape(objective: str) -> None:
    cvae = CVAE(Halves(), Mean(), objective=objective, alpha=0.5, likelihood="gaussian")
    for size in (4, 6):
        condition, target = torch.randn(2, BATCH, size, dtype=torch.float64)
        given = CVAE(Halves(), Mean(), objective=objective, likelihood="gaussian", latent_shape=size)
        ours, expected = (one.log_likelihood(condition, target, num_samples=3, seed=1) for one in (cvae, given))
        assert torch.equal(ours, expected)


def test_a_gsnn_without_prior_network_says_what_it_needs() -> None:
    condition, target = data()
    cvae = CVAE(Recognition(True), Generation(), objective="gsnn").double()
    with pytest.raises(RuntimeError, match=r"latent_shape: got None.*CVAE\(\.\.\., latent_shape=\.\.\.\)"):
        cvae(condition, target)
    given = CVAE(cvae.recognition, cvae.generation, objective="gsnn", latent_shape=LATENT)
    assert given(condition, target).z.shape == (BATCH, LATENT)
    cvae.encode(target, condition)
    assert cvae(condition, target).z.shape == (BATCH, LATENT)


def test_image_conditions_and_label_conditions() -> None:
    class Label(nn.Module):
        def __init__(self, size: int, out: int) -> None:
            super().__init__()
            self.embedding, self.linear = nn.Embedding(10, 2), nn.Linear(size + 2, out)

        def forward(self, value: Tensor, label: Tensor) -> Tensor:
            return self.linear(torch.cat([value, self.embedding(label)], 1))

    cvae = CVAE(Label(TARGET, 2 * LATENT), Label(LATENT, TARGET))
    label, target = torch.arange(BATCH), torch.rand(BATCH, TARGET)
    assert cvae(label, target, num_samples=3).z.shape == (3, BATCH, LATENT)
    assert cvae.sample(label, 2).shape == (2, BATCH, TARGET)
    assert cvae.log_likelihood(label, target, num_samples=4).shape == (BATCH,)


# A conditional linear-Gaussian model: y = W z + V x + b + noise, z ~ N(m(x), s(x)^2), with a known p(y | x)


@pytest.mark.parametrize("objective", ["cvae", "hybrid"])
def test_saved_loaded_copied_and_pickled(objective: str) -> None:
    cvae, (condition, target) = model(objective=objective, alpha=0.4), data()
    file = io.BytesIO()
    torch.save(cvae.state_dict(), file)
    file.seek(0)
    fresh = model(objective=objective, alpha=0.4)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    expected = cvae(condition, target, seed=1).loss
    for twin in (fresh, copy.deepcopy(cvae), pickle.loads(pickle.dumps(cvae))):
        assert torch.equal(twin(condition, target, seed=1).loss, expected)


# Compiling takes a second or two.
COMPILED = [("cvae", False, None), ("gsnn", True, 2), ("hybrid", True, None)]


# Dynamo instantiates torch.autograd.Function itself, which torch deprecates.
@pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize(
    ("objective", "prior", "num_samples"),
    [
        pytest.param(*case, marks=() if case in COMPILED else pytest.mark.nightly)
        for case in itertools.product(["cvae", "gsnn", "hybrid"], [False, True], [None, 2])
    ],
)
def test_compiled_without_graph_breaks(objective: str, prior: bool, num_samples: int | None) -> None:
    torch.compiler.reset()
    cvae, (condition, target) = model(prior, objective=objective, alpha=0.4), data()
    compiled = torch.compile(cvae, fullgraph=True, backend="aot_eager")
    eager = cvae(condition, target, seed=1, num_samples=num_samples)
    ours = compiled(condition, target, seed=1, num_samples=num_samples)
    assert_same(ours.loss, eager.loss, cvae)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: model(objective="elbo"), ValueError, "objective: got 'elbo'; takes one of"),
        (lambda: model(alpha=1.5), ValueError, "alpha: got 1.5"),
        (lambda: model(alpha=math.nan), ValueError, "alpha: got nan"),
        (
            lambda: model(objective="gsnn", beta=2.0),
            ValueError,
            "beta: got a value with objective='gsnn', which has no",
        ),
        (
            lambda: model(objective="gsnn", beta=torch.tensor(1.0)),
            ValueError,
            "beta: got a value with objective='gsnn'",
        ),
        (lambda: model(objective="gsnn", free_bits=0.5), ValueError, "free_bits: got a value with objective='gsnn'"),
        (lambda: model(objective="gsnn", capacity=1.0), ValueError, "capacity: got a value with objective='gsnn'"),
        (
            lambda: model(objective="gsnn", kl_estimator="monte_carlo"),
            ValueError,
            "kl_estimator: got a value with objective='gsnn'",
        ),
        (
            lambda: model(objective="gsnn", total_correlation=6.0, dataset_size=100),
            ValueError,
            "total_correlation: got a value with objective='gsnn'",
        ),
        (lambda: model(preset="oobleck"), ValueError, "preset: got 'oobleck'"),
        (lambda: model(preset="vits"), ValueError, "preset: got 'vits'"),
        (lambda: model().log_likelihood(*data(), method="exact"), ValueError, "method: got 'exact'"),
        (lambda: model().log_likelihood(*data(), num_samples=0), ValueError, "num_samples: got 0"),
        (lambda: model().predict(data()[0], num_samples=0), ValueError, "num_samples: got 0"),
        (lambda: model()(*data(), sample=False, seed=1), ValueError, "seed: got a value with sample=False"),
        (
            lambda: model(objective="gsnn")(*data(), sample=False, num_samples=1),
            ValueError,
            "num_samples: got a value with sample=False",
        ),
        (lambda: model().sample(4, data()[0]), TypeError, r"condition, n: got 4 and float64\[6, 4\]; takes"),
        (lambda: model(prior=False).sample(4, data()[0]), TypeError, "condition, n: got 4 and .* before n"),
        (lambda: model().predict(4), TypeError, "condition: got int; takes a torch.Tensor"),
        (lambda: model(prior=False).predict(torch.tensor(4)), TypeError, r"condition: got tensor\(4\); takes"),
        (lambda: model()(*data()[::-1]), ValueError, r"condition: got float64\[6, 5\]; takes inputs of prior"),
        (lambda: model(prior=False)(*data()[::-1]), ValueError, r"z, condition: got .* takes inputs of generation"),
        (lambda: model().encode(data()[1], data()[0].numpy()), TypeError, "condition: got ndarray; takes"),
        (lambda: model()(data()[0], data()[1][:5]), ValueError, r"target, condition: got .*\[5, 5\] and .*\[6, 4\]"),
        (lambda: model()(*(part[:0] for part in data())), ValueError, r"target: got float64\[0, 5\]"),
        (lambda: model(objective="gsnn")(data()[0], data()[1][:5]), ValueError, r"target: got float64\[5, 5\] for"),
        (
            lambda: CVAE(Recognition(True), Generation(), nn.Linear(CONDITION, 8)).double()(*data()),
            ValueError,
            r"prior\[0\]: got shape",
        ),
    ],
)
def test_mistakes_are_named(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("objective", ["cvae", "gsnn", "hybrid"])
def test_without_a_loss_the_latents_are_the_same(objective: str) -> None:
    whole, part = (model(objective=objective)(*data(), seed=1, return_loss=each) for each in (True, False))
    assert list(part) == ["z", "mu", "scale", "prediction"]
    assert all(torch.equal(value, whole[name]) for name, value in part.items())
    with pytest.raises(ValueError, match=r"^weight: got float64\[6, 5\] with return_loss=False"):
        model()(*data(), weight=data()[1], return_loss=False)
