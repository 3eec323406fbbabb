"""MultiScale, and densities of the caller's own, in the losses and the models, against plain torch."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastvae
from fastvae import CVAE, VAE, ELBOLoss
from fastvae.losses import Density, MultiScale
from tests.losses.test_losses import DENSITY, LOG_SCALE, NLL

# A few hundred float64 terms and two small matrix products, a few roundings of 2.2e-16 each.
EXACT = {"rtol": 1e-11, "atol": 1e-12}
BATCH, SIDE, LATENT = 3, 8, 2
SIDES = (2, 4, 8)
PIXELS = [side * side for side in SIDES]


def pyramid(*samples: int, height: int = SIDE, width: int = SIDE) -> tuple[Tensor, ...]:
    """Predictions of two channels in (0, 1), which every likelihood takes."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.rand(
            *samples, BATCH, 2, height // factor, width // factor, dtype=torch.float64, generator=generator
        ).requires_grad_()
        for factor in (4, 2, 1)
    )


def image(channels: int = 2, height: int = SIDE, width: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(BATCH, channels, height, width, dtype=torch.float64, generator=generator)


def averaged(target: Tensor, factor: int) -> Tensor:
    """Averages over blocks, by reshaping."""
    *lead, height, width = target.shape
    return target.reshape(*lead, height // factor, factor, width // factor, factor).mean((-3, -1))


def by_hand(prediction: tuple[Tensor, ...], target: Tensor, likelihood: str = "bernoulli") -> Tensor:
    """The sum over scales, one value a sample; the target broadcasts to several samples."""
    return sum(
        NLL[likelihood](part, averaged(target, target.shape[-2] // part.shape[-2]).expand_as(part)).sum((-3, -2, -1))
        for part in prediction
    )


def multiscale(likelihood: str = "bernoulli", **options: Any) -> MultiScale:
    module = MultiScale(likelihood, **options).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(LOG_SCALE)
    return module


def assert_same(ours: Tensor, theirs: Tensor, leaves: Any) -> None:
    leaves = list(leaves)
    torch.testing.assert_close(ours, theirs, **EXACT)
    upstream = torch.linspace(0.5, 1.5, ours.numel(), dtype=torch.float64).reshape(ours.shape)
    got, expected = (torch.autograd.grad(loss, leaves, upstream) for loss in (ours, theirs))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("likelihood", NLL)
def test_the_sum_over_scales(likelihood: str, backend: str) -> None:
    prediction, target = pyramid(), image()
    with fastvae.use_backend(backend):
        ours = multiscale(likelihood)(prediction, target)
    assert ours.shape == (BATCH,)
    assert_same(ours, by_hand(prediction, target, likelihood), prediction)


@pytest.mark.parametrize("likelihood", NLL)
def test_the_density_is_that_of_the_full_size(likelihood: str) -> None:
    prediction, target = pyramid(), image()
    target = target.round() if likelihood.startswith("bernoulli") else target
    density = DENSITY[likelihood](prediction[-1])
    module = multiscale(likelihood)
    assert_same(module.log_prob(prediction, target), density.log_prob(target).sum((1, 2, 3)), prediction[-1:])
    torch.testing.assert_close(module.mean(prediction), density.mean, **EXACT)


def test_bytes_and_bits_as_targets() -> None:
    prediction, pixels = pyramid(), (image() * 255).round().to(torch.uint8)
    for target, values in ((pixels, pixels.double() / 255), (pixels > 127, (pixels > 127).double())):
        assert_same(multiscale()(prediction, target), by_hand(prediction, values), prediction)
        expected = by_hand(prediction[-1:], values)
        torch.testing.assert_close(multiscale().log_prob(prediction, target), -expected, **EXACT)


def test_half_precision_predictions() -> None:
    prediction, pixels = pyramid(), (image() * 255).round().to(torch.uint8)
    halves = tuple(part.detach().bfloat16() for part in prediction)
    ours = multiscale()(halves, pixels)
    assert ours.dtype == torch.float32
    # The inputs are exact in bfloat16; the sums of some 170 terms are float32.
    expected = by_hand(tuple(part.double() for part in halves), pixels.double() / 255)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("factors", [(1,), (2, 1), (6, 3, 1), [6, 2, 1]])
def test_other_factors_and_oblong_images(factors: Any) -> None:
    target = image(height=6, width=12)
    prediction = tuple(torch.randn_like(averaged(target, factor)).requires_grad_() for factor in factors)
    assert_same(multiscale(factors=factors)(prediction, target), by_hand(prediction, target), prediction)


def test_every_scale_learns_its_own_log_scale() -> None:
    module = multiscale("gaussian_learned")
    values = (-0.5, 0.0, 0.7)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), values, strict=True):
            parameter.fill_(value)
    prediction, target = pyramid(), image()
    expected = sum(
        (0.5 * ((part - averaged(target, factor)) / math.exp(value)) ** 2 + value).sum((1, 2, 3))
        for part, factor, value in zip(prediction, (4, 2, 1), values, strict=True)
    )
    assert_same(module(prediction, target), expected, prediction)
    assert len(module.state_dict()) == 3
    assert torch.equal(pickle.loads(pickle.dumps(module))(prediction, target), module(prediction, target))


@pytest.mark.parametrize("reduction", ["batchmean", "sample"])
@pytest.mark.parametrize("samples", [(), (4,)])
def test_in_the_elbo(samples: tuple[int, ...], reduction: str) -> None:
    prediction, target = pyramid(*samples), image()
    kl = torch.rand(BATCH, dtype=torch.float64, requires_grad=True)
    loss = ELBOLoss(multiscale(), reduction=reduction)
    output = loss(prediction, target.expand(*samples, *target.shape), kl, batch_dims=1 + len(samples))
    nll = by_hand(prediction, target)
    assert_same(output.loss, nll.mean() + kl.mean() if reduction == "batchmean" else nll + kl, (*prediction, kl))
    torch.testing.assert_close(output.reconstruction, nll.detach(), **EXACT)


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


PREDICTION = tuple(part.detach() for part in pyramid())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: MultiScale("bernouli"), ValueError, "likelihood: got 'bernouli'; takes one of"),
        (lambda: MultiScale(factors=()), ValueError, r"factors: got \(\); takes falling ints that end in 1"),
        (lambda: MultiScale(factors=(1, 2, 4)), ValueError, r"factors: got \(1, 2, 4\)"),
        (lambda: MultiScale(factors=(4, 2)), ValueError, r"factors: got \(4, 2\)"),
        (lambda: MultiScale(factors=(2.0, 1)), ValueError, r"factors: got \(2.0, 1\)"),
        (lambda: MultiScale()(PREDICTION[0], image()), TypeError, "prediction: got Tensor; takes a tuple: takes 3"),
        (lambda: MultiScale().mean(PREDICTION[0]), TypeError, "prediction: got Tensor"),
        (lambda: MultiScale()(PREDICTION[1:], image()), ValueError, "prediction: got 2 scales; takes 3 tensors"),
        (lambda: MultiScale().log_prob(PREDICTION[1:], image()), ValueError, "prediction: got 2 scales"),
        (lambda: MultiScale()((*PREDICTION[:2], None), image()), TypeError, r"prediction\[2\]: got NoneType"),
        (
            lambda: MultiScale()(PREDICTION[::-1], image()),
            ValueError,
            r"prediction\[0\]: got shape \[3, 2, 8, 8\]; takes \[3, 2, 2, 2\], the target's with height and width",
        ),
        (lambda: MultiScale()(PREDICTION, image(height=10)), ValueError, r"target: got shape \[3, 2, 10, 8\]; takes"),
        (lambda: MultiScale()(PREDICTION, image()[0]), ValueError, r"target: got shape \[2, 8, 8\]; takes \[batch"),
        (lambda: MultiScale().log_prob(PREDICTION, image(1)), ValueError, "prediction: got shape"),
    ],
)
def test_mistakes_are_named(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_a_density_that_returns_another_shape_is_named() -> None:
    class Elementwise(Poisson):
        def log_prob(self, prediction: Any, target: Tensor) -> Tensor:
            return prediction - target

    x = torch.rand(BATCH, 4)
    with pytest.raises(ValueError, match=r"likelihood.log_prob: returned shape \[3, 4\]; takes a callable"):
        ELBOLoss(Elementwise()).log_prob(x, x)
