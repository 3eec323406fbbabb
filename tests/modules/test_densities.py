"""VAE and CVAE on MultiScale and on densities of the caller's own, against plain torch."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastvae
from fastvae import CVAE, VAE, ELBOLoss
from fastvae.losses import Density, MultiScale
from tests.losses.pyramids import (
    BATCH,
    EXACT,
    LATENT,
    PIXELS,
    SIDE,
    SIDES,
    assert_same,
    by_hand,
    image,
)


class Scales(nn.Module):
    """Predictions at three sizes from z, and from a condition where there is one."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, sum(PIXELS))

    def forward(self, z: Tensor, *condition: Tensor) -> tuple[Tensor, ...]:
        parts = self.linear(torch.cat([z, *condition], 1)).split(PIXELS, 1)
        return tuple(part.reshape(-1, 1, side, side) for part, side in zip(parts, SIDES, strict=True))


class Recognition(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(SIDE * SIDE + 4, 2 * LATENT)

    def forward(self, target: Tensor, condition: Tensor) -> Tensor:
        return self.linear(torch.cat([target.flatten(1), condition], 1))


def cvae(likelihood: Any = None, **options: Any) -> CVAE:
    torch.manual_seed(0)
    networks = Recognition(), Scales(LATENT + 4), nn.Linear(4, 2 * LATENT)
    return CVAE(*networks, likelihood=MultiScale() if likelihood is None else likelihood, **options).double()


def pair() -> tuple[Tensor, Tensor]:
    """A condition and its target."""
    return torch.randn(BATCH, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)), image(1)


def decoded(model: CVAE, z: Tensor, condition: Tensor) -> list[tuple[Tensor, ...]]:
    """What each latent sample of ``[num_samples, batch, latent]`` is decoded to, one at a time."""
    return [model.generation(one, condition) for one in z]


def normal(moments: Tensor) -> torch.distributions.Normal:
    mu, logvar = moments.chunk(2, 1)
    return torch.distributions.Normal(mu, (0.5 * logvar).exp())


@pytest.mark.parametrize("num_samples", [None, 1, 4])
@pytest.mark.parametrize("objective", ["cvae", "gsnn", "hybrid"])
def test_cvae_objectives(objective: str, num_samples: int | None) -> None:
    model, (condition, target) = cvae(objective=objective, alpha=0.3), pair()
    eps = torch.randn(num_samples or 1, BATCH, LATENT, dtype=torch.float64)
    output = model(condition, target, eps=eps[0] if num_samples is None else eps, num_samples=num_samples)
    q, p = normal(model.recognition(target, condition)), normal(model.prior(condition))

    def nll(gaussian: torch.distributions.Normal) -> Tensor:
        z = gaussian.mean + gaussian.stddev * eps
        return torch.stack([by_hand(parts, target) for parts in decoded(model, z, condition)])

    bound = nll(q).mean() + torch.distributions.kl_divergence(q, p).sum(1).mean()
    expected = {"cvae": bound, "gsnn": nll(p).mean(), "hybrid": 0.3 * bound + 0.7 * nll(p).mean()}
    leaves = list(model.parameters()) if objective != "gsnn" else list(model.generation.parameters())
    assert_same(output.loss, expected[objective], leaves)
    lead = () if num_samples is None else (num_samples,)
    torch.testing.assert_close(
        output.reconstruction_loss, nll(p if objective == "gsnn" else q).detach().reshape(*lead, BATCH), **EXACT
    )
    assert [part.shape for part in output.prediction] == [(*lead, BATCH, 1, side, side) for side in SIDES]


def test_cvae_predictions() -> None:
    model, (condition, _) = cvae(), pair()
    prior = model.encode_prior(condition)
    deterministic = model.generation(prior.mu, condition)[-1].sigmoid()
    torch.testing.assert_close(model.predict(condition), deterministic, **EXACT)
    samples = model.sample(condition, 4, seed=3)
    expected = [parts[-1].sigmoid() for parts in decoded(model, prior.sample(4, seed=3), condition)]
    torch.testing.assert_close(samples, torch.stack(expected), **EXACT)
    generator = torch.Generator().manual_seed(5)
    draws = torch.cat([prior.sample(count, generator=generator) for count in (4, 3)])
    expected = [parts[-1].sigmoid() for parts in decoded(model, draws, condition)]
    average = model.predict(condition, num_samples=7, chunk_size=4, seed=5)
    torch.testing.assert_close(average, torch.stack(expected).mean(0), **EXACT)


@pytest.mark.parametrize("kind", ["floats", "bytes"])
@pytest.mark.parametrize("method", ["importance", "monte_carlo"])
def test_cvae_log_likelihood(method: str, kind: str) -> None:
    model, (condition, target) = cvae(), pair()
    given = (target * 255).round().to(torch.uint8) if kind == "bytes" else target
    values = given.double() / 255 if kind == "bytes" else target
    # The recognition network of this test reads floats.
    model.recognition.register_forward_pre_hook(lambda _, inputs: (values, inputs[1]))
    ours = model.log_likelihood(condition, given, num_samples=5, method=method, chunk_size=5, seed=1)
    q, p = normal(model.recognition(values, condition)), normal(model.prior(condition))
    posterior = model.encode_prior(condition) if method == "monte_carlo" else model.encode(values, condition)
    z = posterior.sample(5, generator=torch.Generator().manual_seed(1))
    log_w = torch.stack([-by_hand(parts[-1:], values) for parts in decoded(model, z, condition)])
    if method == "importance":
        log_w = log_w + (p.log_prob(z) - q.log_prob(z)).sum(2)
    torch.testing.assert_close(ours, (log_w.logsumexp(0) - math.log(5)).detach(), **EXACT)


def vae(likelihood: Any = None) -> VAE:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 2 * LATENT))
    return VAE(encoder, Scales(LATENT), likelihood=MultiScale() if likelihood is None else likelihood).double()


@pytest.mark.parametrize("num_samples", [None, 4])
def test_vae_objective(num_samples: int | None) -> None:
    model, x = vae(), image(1)
    output = model(x, num_samples=num_samples, seed=1)
    q = normal(model.encoder(x))
    eps = ((output.z - q.mean) / q.stddev).detach().reshape(-1, BATCH, LATENT)
    nll = torch.stack([by_hand(model.decoder(q.mean + q.stddev * one), x) for one in eps])
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    assert_same(output.loss, nll.mean() + kl.mean(), model.parameters())


def test_vae_evaluation() -> None:
    model, x = vae(), image(1)
    q = normal(model.encoder(x))
    torch.testing.assert_close(model.reconstruct(x), model.decoder(q.mean)[-1].sigmoid(), **EXACT)
    z = torch.zeros(5, LATENT, dtype=torch.float64)
    z = fastvae.DiagonalGaussian(z, z).sample(seed=2)
    torch.testing.assert_close(model.sample(5, seed=2), model.decoder(z)[-1].sigmoid(), **EXACT)
    draws = model.encode(x).sample(5, generator=torch.Generator().manual_seed(1))
    log_w = torch.stack([-by_hand(model.decoder(one)[-1:], x) for one in draws])
    log_w = log_w + (torch.distributions.Normal(0.0, 1.0).log_prob(draws) - q.log_prob(draws)).sum(2)
    ours = model.log_likelihood(x, num_samples=5, seed=1)
    torch.testing.assert_close(ours, (log_w.logsumexp(0) - math.log(5)).detach(), **EXACT)


class Rate(nn.Module):
    """A decoder that returns a dict, with a learned factor that has no batch dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.factor = nn.Linear(LATENT + 4, 6), nn.Parameter(torch.tensor(1.5))

    def forward(self, z: Tensor, condition: Tensor) -> dict[str, Tensor]:
        return {"logits": self.linear(torch.cat([z, condition], 1)), "factor": self.factor}


class Poisson(Density):
    """Counts at a rate of factor * exp(logits)."""

    def log_prob(self, prediction: dict[str, Tensor], target: Tensor) -> Tensor:
        return torch.distributions.Poisson(self.mean(prediction)).log_prob(target).sum(1)

    def mean(self, prediction: dict[str, Tensor]) -> Tensor:
        return prediction["factor"] * prediction["logits"].exp()


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6 + 4, 2 * LATENT)

    def forward(self, target: Tensor, condition: Tensor) -> Tensor:
        return self.linear(torch.cat([target, condition], 1))


def test_a_density_of_ones_own() -> None:
    torch.manual_seed(0)
    model = CVAE(Flat(), Rate(), nn.Linear(4, 2 * LATENT), likelihood=Poisson()).double()
    condition, _ = pair()
    target = torch.poisson(torch.full((BATCH, 6), 2.0, dtype=torch.float64))
    output = model(condition, target, num_samples=4, seed=1)
    assert output.prediction["logits"].shape == (4, BATCH, 6)
    assert output.prediction["factor"].shape == ()
    rate = 1.5 * output.prediction["logits"].exp()
    nll = -torch.distributions.Poisson(rate).log_prob(target.expand(4, BATCH, 6)).sum(2)
    torch.testing.assert_close(output.reconstruction_loss, nll.detach(), **EXACT)
    output.loss.backward()
    assert model.generation.factor.grad is not None
    z = model.encode_prior(condition).sample(4, seed=2)
    expected = torch.stack([1.5 * model.generation(one, condition)["logits"].exp() for one in z])
    torch.testing.assert_close(model.sample(condition, 4, seed=2), expected.detach(), **EXACT)
    assert model.predict(condition, num_samples=3).shape == (BATCH, 6)


def test_a_plain_callable_sees_tuples_of_one_batch_dimension() -> None:
    def coarse_only(prediction: tuple[Tensor, ...], target: Tensor) -> Tensor:
        assert [part.shape[0] for part in prediction] == [len(target)] * 3
        return (prediction[0].flatten(1) - target.mean((1, 2, 3))[:, None]).square().sum(1)

    model, x = vae(coarse_only), image(1)
    output = model(x, num_samples=4)
    expected = (output.prediction[0].flatten(2) - x.mean((1, 2, 3))[:, None]).square().sum(2)
    torch.testing.assert_close(output.reconstruction_loss, expected.detach(), **EXACT)


# Dynamo instantiates torch.autograd.Function itself, which torch deprecates.
@pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("num_samples", [None, 2])
def test_compiled_without_graph_breaks(num_samples: int | None) -> None:
    torch.compiler.reset()
    model, (condition, target) = cvae(latent_shape=LATENT), pair()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    ours = compiled(condition, target, seed=1, num_samples=num_samples)
    assert_same(ours.loss, model(condition, target, seed=1, num_samples=num_samples).loss, model.parameters())


def test_a_density_that_returns_another_shape_is_named() -> None:
    class Elementwise(Poisson):
        def log_prob(self, prediction: Any, target: Tensor) -> Tensor:
            return prediction - target

    x = torch.rand(BATCH, 4)
    with pytest.raises(ValueError, match=r"likelihood.log_prob: returned shape \[3, 4\]; takes a callable"):
        ELBOLoss(Elementwise()).log_prob(x, x)
