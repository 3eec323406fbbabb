"""VAE and BetaVAE against a hand-written ELBO in plain PyTorch."""

import copy
import io
import math
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import fastvae
import fastvae.functional as F
from fastvae import VAE, BetaVAE, DiagonalGaussian, ELBOLoss, LinearWarmup

# A few hundred float64 terms and two small matrix products, a few roundings of 2.2e-16 each.
EXACT = {"rtol": 1e-11, "atol": 1e-12}
BATCH, PIXELS, LATENT = 5, 12, 3


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mu, self.scale = nn.Linear(PIXELS, LATENT), nn.Linear(PIXELS, LATENT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mu(x.to(self.mu.weight.dtype)), self.scale(x.to(self.mu.weight.dtype))


class ToFloat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float() / 255


def encoder(kind: str) -> nn.Module:
    return TwoHeads() if kind == "pair" else nn.Linear(PIXELS, 2 * LATENT)


def model(kind: str = "packed", **options: Any) -> VAE:
    torch.manual_seed(0)
    return VAE(encoder(kind), nn.Sequential(nn.Linear(LATENT, 8), nn.Tanh(), nn.Linear(8, PIXELS)), **options).double()


def data() -> Tensor:
    return torch.rand(BATCH, PIXELS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def moments(vae: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    output = vae.encoder(x)
    return output if isinstance(output, tuple) else output.chunk(2, 1)


def by_hand(vae: VAE, x: Tensor, eps: Tensor) -> Tensor:
    """Bernoulli ELBO of one batch; eps may hold several samples."""
    mu, logvar = moments(vae, x)
    logits = vae.decoder(mu + (0.5 * logvar).exp() * eps)
    nll = T.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
    return nll.mean() + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()


def gradients(loss: Tensor, vae: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(vae.parameters())))


def assert_same(ours: Tensor, theirs: Tensor, vae: nn.Module) -> None:
    torch.testing.assert_close(ours, theirs, **EXACT)
    for one, other in zip(gradients(ours, vae), gradients(theirs, vae), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("samples", [(), (1,), (4,)])
@pytest.mark.parametrize("kind", ["pair", "packed"])
def test_the_elbo_by_hand(kind: str, samples: tuple[int, ...], backend: str) -> None:
    vae, x = model(kind), data()
    eps = torch.randn(*samples, BATCH, LATENT, dtype=torch.float64)
    with fastvae.use_backend(backend):
        output = vae(x, eps=eps, num_samples=samples[0] if samples else None)
    assert output.prediction.shape == (*samples, BATCH, PIXELS)
    assert output.z.shape == eps.shape
    assert output.reconstruction_loss.shape == (*samples, BATCH)
    assert output.kl.shape == (BATCH,)
    torch.testing.assert_close(output.reconstruction_loss.mean() + output.kl.mean(), output.loss.detach(), **EXACT)
    assert_same(output.loss, by_hand(vae, x, eps), vae)


def test_gradients_reach_every_parameter() -> None:
    vae = model(likelihood="gaussian_learned", beta=0.5)
    vae(data()).loss.backward()
    assert len(list(vae.parameters())) == 7
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("training", [True, False])
def test_the_latent_is_the_mean_only_where_asked(training: bool) -> None:
    vae, x = model().train(training), data()
    mu, _ = moments(vae, x)
    assert not torch.equal(vae(x).z, mu)
    output = vae(x, sample=False)
    assert torch.equal(output.z, mu)
    assert_same(output.loss, by_hand(vae, x, torch.zeros_like(mu)), vae)


def test_noise_follows_seed_generator_and_torch() -> None:
    vae, x = model(), data()
    assert torch.equal(vae(x, seed=3).z, vae(x, seed=3).z)
    one, other = (vae(x, generator=torch.Generator().manual_seed(3)).z for _ in range(2))
    assert torch.equal(one, other)
    torch.manual_seed(1)
    first, second = vae(x).z, vae(x).z
    torch.manual_seed(1)
    assert torch.equal(vae(x).z, first)
    assert not torch.equal(first, second)


def test_a_target_of_its_own() -> None:
    torch.manual_seed(0)
    vae = VAE(nn.Sequential(ToFloat(), nn.Linear(PIXELS, 2 * LATENT)), nn.Linear(LATENT, PIXELS))
    pixels = torch.randint(0, 256, (BATCH, PIXELS), dtype=torch.uint8)
    from_bytes = vae(pixels, seed=1)
    torch.testing.assert_close(from_bytes.loss, vae(pixels, pixels / 255, seed=1).loss, rtol=1e-6, atol=0)
    binary = vae(pixels, pixels > 127, seed=1)
    torch.testing.assert_close(binary.loss, vae(pixels, (pixels > 127).float(), seed=1).loss, rtol=1e-6, atol=0)


def test_a_masked_reconstruction() -> None:
    vae, x = model(), data()
    mask = torch.arange(PIXELS) < 7
    eps = torch.randn(3, BATCH, LATENT, dtype=torch.float64)
    output = vae(x, eps=eps, num_samples=3, weight=mask)
    mu, logvar = moments(vae, x)
    logits = vae.decoder(mu + (0.5 * logvar).exp() * eps)
    nll = T.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    assert_same(output.loss, nll[..., :7].sum(-1).mean() + kl, vae)


@pytest.mark.parametrize(
    "options",
    [
        {"likelihood": "gaussian", "beta": 3.0},
        {"likelihood": "laplace", "beta": LinearWarmup(0.0, 1.0, 10)},
        {"free_bits": 2.0},
        {"free_bits": 0.5, "free_bits_per": "dimension"},
        {"free_bits": 0.5, "free_bits_per": "batch_dimension"},
        {"capacity": 4.0, "capacity_per": "sample"},
        {"kl_estimator": "monte_carlo"},
        {"preset": "world-models"},
        {"preset": "bolts"},
        {"preset": "pytorch-vae"},
        {"preset": "disentangling-vae", "likelihood": "gaussian", "capacity": 3.0},
        {"preset": "tf-tutorial"},
        {"preset": "latent-diffusion"},
        {"preset": "diffusers"},
        {"preset": "scvi", "likelihood": "laplace"},
    ],
    ids=str,
)
@pytest.mark.parametrize("num_samples", [None, 2])
def test_the_objective_is_elbo_loss(options: dict[str, Any], num_samples: int | None) -> None:
    vae, x = model(**options), data()
    output = vae(x, seed=1, num_samples=num_samples)
    alone = ELBOLoss(**options).double()
    alone.load_state_dict(vae.elbo.state_dict())
    target = x if num_samples is None else x.expand(num_samples, *x.shape)
    batch_dims = 1 if num_samples is None else 2
    expected = alone(output.prediction, target, vae.encode(x), z=output.z, batch_dims=batch_dims)
    torch.testing.assert_close(output.loss, expected.loss, **EXACT)
    torch.testing.assert_close(output.kl, expected.kl, **EXACT)
    torch.testing.assert_close(output.reconstruction_loss, expected.reconstruction, **EXACT)


def test_a_preset_brings_its_posterior() -> None:
    x = data()
    posterior = model(preset="scvi", likelihood="gaussian").encode(x)
    torch.testing.assert_close(posterior.variance, posterior.scale.exp() + 1e-4, **EXACT)
    interleaved = model(preset="disentangling-vae")
    assert torch.equal(interleaved.encode(x).mu, interleaved.encoder(x)[:, ::2])
    overridden = model(preset="scvi", likelihood="gaussian", min_var=0.5).encode(x)
    torch.testing.assert_close(overridden.variance, overridden.scale.exp() + 0.5, **EXACT)


def test_a_preset_without_reconstruction_leaves_it_to_you() -> None:
    vae = model(preset="oobleck")
    output = vae(data())
    posterior = vae.encode(data())
    expected = 2 * DiagonalGaussian(posterior.mu, posterior.scale, parameterization="softplus", min_std=1e-4).kl()
    torch.testing.assert_close(output.loss, expected.mean(), **EXACT)
    assert output.prediction.shape == (BATCH, PIXELS)
    assert not output.reconstruction_loss.any()


def test_beta_vae() -> None:
    plain, x = model(), data()
    beta = BetaVAE(plain.encoder, plain.decoder)
    one, other = plain(x, seed=1), beta(x, seed=1)
    torch.testing.assert_close(other.loss, one.loss + 3 * one.kl.mean(), **EXACT)
    bounded = BetaVAE(plain.encoder, plain.decoder, beta=10.0, capacity=LinearWarmup(0.0, 5.0, 2))
    bounded.elbo.capacity.step()
    expected = one.reconstruction_loss.mean() + 10 * (one.kl.mean() - 2.5).abs()
    torch.testing.assert_close(bounded(x, seed=1).loss, expected, **EXACT)


def test_encode_decode_reconstruct_sample() -> None:
    vae, x = model(), data()
    mu, logvar = moments(vae, x)
    assert torch.equal(vae.encode(x).mu, mu)
    assert torch.equal(vae.decode(mu), vae.decoder(mu))
    assert torch.equal(vae.reconstruct(x), vae.decoder(mu).sigmoid())
    assert not torch.equal(vae.reconstruct(x, sample=True, seed=1), vae.reconstruct(x))
    z = DiagonalGaussian(mu, logvar).sample(seed=1)
    torch.testing.assert_close(vae.reconstruct(x, sample=True, seed=1), vae.decoder(z).sigmoid(), **EXACT)
    samples = vae.sample(7, seed=1)
    assert samples.shape == (7, PIXELS)
    assert samples.dtype == torch.float64
    assert ((samples > 0) & (samples < 1)).all()
    assert not samples.requires_grad
    assert torch.equal(samples, vae.sample(7, seed=1))
    assert torch.equal(model(likelihood="gaussian").reconstruct(x), model().decode(mu))


@pytest.mark.parametrize("shape", [3, (3,), [3]])
def test_sample_before_any_input(shape: Any) -> None:
    assert model(latent_shape=shape).sample(4).shape == (4, PIXELS)
    with pytest.raises(RuntimeError, match="latent_shape: got None and no input so far"):
        model().sample(4)


def test_spatial_latents() -> None:
    vae = VAE(nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(4, 3, 2, 2), likelihood="laplace")
    x = torch.rand(2, 3, 8, 8)
    assert vae(x, num_samples=3).z.shape == (3, 2, 4, 4, 4)
    assert vae.sample(5).shape == (5, 3, 8, 8)
    assert vae(torch.rand(2, 3, 12, 8)).z.shape == (2, 4, 6, 4)
    assert vae.sample(5).shape == (5, 3, 12, 8)
    assert vae.log_likelihood(x, num_samples=4).shape == (2,)


# A linear-Gaussian model, whose p(x) = N(b, W W' + I) and posterior are known


class Posterior(nn.Module):
    """The exact posterior of z ~ N(0, I), x ~ N(W z + b, I) with orthogonal columns in W, its sigma times `widen`."""

    def __init__(self, decoder: nn.Linear, widen: float) -> None:
        super().__init__()
        self.decoder = [decoder]
        self.widen = widen

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = self.decoder[0].weight, self.decoder[0].bias
        variance = 1 / (1 + weight.square().sum(0))
        mu = (x - bias) @ weight * variance
        return mu, (self.widen**2 * variance).log().expand_as(mu)


def linear_gaussian(widen: float) -> tuple[VAE, Tensor, Tensor]:
    """The model, data from it, and its log p(x)."""
    torch.manual_seed(0)
    decoder = nn.Linear(LATENT, PIXELS).double()
    with torch.no_grad():
        orthogonal, _ = torch.linalg.qr(torch.randn(PIXELS, LATENT, dtype=torch.float64))
        decoder.weight.copy_(orthogonal * torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
        covariance = decoder.weight @ decoder.weight.T + torch.eye(PIXELS, dtype=torch.float64)
        marginal = torch.distributions.MultivariateNormal(decoder.bias, covariance)
        x = marginal.sample((BATCH,))
        log_p = marginal.log_prob(x)
    return VAE(Posterior(decoder, widen), decoder, likelihood="gaussian"), x, log_p


@pytest.mark.parametrize(("num_samples", "chunk_size"), [(1, 50), (7, 3), (4, 4)])
def test_log_likelihood_is_exact_under_the_exact_posterior(num_samples: int, chunk_size: int) -> None:
    vae, x, log_p = linear_gaussian(1.0)
    ours = vae.log_likelihood(x, num_samples=num_samples, chunk_size=chunk_size)
    torch.testing.assert_close(ours, log_p, **EXACT)


def test_log_likelihood_converges_under_another_posterior() -> None:
    vae, x, log_p = linear_gaussian(1.5)
    count = 20_000
    ours = vae.log_likelihood(x, num_samples=count, chunk_size=4000, seed=0)
    weights = (vae.log_weights(x, num_samples=count, seed=0) - log_p).exp()
    # Delta method: the standard error of log mean w. Bounded weights (a wider posterior), so that it holds at this K.
    error = weights.std(0) / weights.mean(0) / math.sqrt(count)
    assert (error < 0.02).all()
    assert ((ours - log_p).abs() < 4.5 * error).all()


def test_log_likelihood_tightens_with_the_samples() -> None:
    vae, x, log_p = linear_gaussian(0.5)
    elbo = vae.log_likelihood(x.repeat(400, 1), num_samples=1, seed=0).mean()
    iwae = vae.log_likelihood(x.repeat(400, 1), num_samples=50, seed=0).mean()
    assert elbo < iwae < log_p.mean() + 0.1


def test_chunks_draw_different_noise() -> None:
    vae, x, _ = linear_gaussian(1.5)
    one = vae.log_likelihood(x, num_samples=1, seed=0)
    assert not torch.allclose(vae.log_likelihood(x, num_samples=2, chunk_size=1, seed=0), one)
    again = vae.log_likelihood(x, num_samples=6, chunk_size=4, seed=0)
    assert torch.equal(again, vae.log_likelihood(x, num_samples=6, chunk_size=4, seed=0))
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(again, vae.log_likelihood(x, num_samples=6, chunk_size=4, generator=generator))


def test_iwae_trains_on_log_weights() -> None:
    vae, x = model(), data()
    ours = -F.importance_weighted_bound(vae.log_weights(x, num_samples=4, seed=2)).mean()
    mu, logvar = moments(vae, x)
    normal = torch.distributions.Normal
    z = mu + (0.5 * logvar).exp() * ((vae(x, num_samples=4, seed=2).z - mu) / (0.5 * logvar).exp()).detach()
    log_w = -T.binary_cross_entropy_with_logits(vae.decoder(z), x.expand(4, -1, -1), reduction="none").sum(2)
    log_w = log_w + normal(torch.zeros_like(z), 1.0).log_prob(z).sum(2)
    log_w = log_w - normal(mu, (0.5 * logvar).exp()).log_prob(z).sum(2)
    assert_same(ours, -(torch.logsumexp(log_w, 0) - math.log(4)).mean(), vae)


def test_a_callable_likelihood_with_a_decoder_that_returns_a_dict() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rate = nn.Linear(LATENT, PIXELS)

        def forward(self, z: Tensor) -> dict[str, Tensor]:
            return {"rate": self.rate(z).exp()}

    def poisson(prediction: dict[str, Tensor], x: Tensor) -> Tensor:
        return -torch.distributions.Poisson(prediction["rate"]).log_prob(x).sum(1)

    vae = VAE(nn.Linear(PIXELS, 2 * LATENT), Counts(), likelihood=poisson)
    x = torch.poisson(torch.full((BATCH, PIXELS), 2.0))
    assert vae(x, num_samples=3).reconstruction_loss.shape == (3, BATCH)
    vae(x).loss.backward()
    assert vae.log_likelihood(x, num_samples=5).isfinite().all()


# What a module must survive


@pytest.mark.parametrize("options", [{}, {"likelihood": "gaussian_learned", "beta": LinearWarmup(0.0, 1.0, 5)}])
def test_saved_and_loaded(options: dict[str, Any]) -> None:
    vae, x = model("pair", **options), data()
    if options:
        vae.elbo.beta.step()
    file = io.BytesIO()
    torch.save(vae.state_dict(), file)
    file.seek(0)
    fresh = model("pair", **copy.deepcopy(options))
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    expected = vae(x, seed=1).loss
    for twin in (fresh, copy.deepcopy(vae), pickle.loads(pickle.dumps(vae))):
        assert torch.equal(twin(x, seed=1).loss, expected)


COMPILED = [
    {},
    {"beta": LinearWarmup(0.0, 1.0, 4)},
    {"beta": torch.tensor(0.5)},
    {"likelihood": "gaussian", "free_bits": 0.2, "free_bits_per": "dimension"},
    {"likelihood": "gaussian_learned", "kl_estimator": "monte_carlo"},
    {"preset": "disentangled-beta", "capacity": 2.0},
    {"parameterization": "softplus", "min_std": 1e-3, "preset": "keras", "likelihood": "bernoulli"},
]


# Dynamo instantiates torch.autograd.Function itself, which torch deprecates.
compiles = pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")


@compiles
@pytest.mark.parametrize("num_samples", [None, 3])
@pytest.mark.parametrize("options", COMPILED, ids=str)
def test_compiled_without_graph_breaks(options: dict[str, Any], num_samples: int | None) -> None:
    torch.compiler.reset()
    vae, x = model(latent_shape=LATENT, **options), data()
    compiled = torch.compile(vae, fullgraph=True, backend="aot_eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(3):
            eager = vae(x, seed=1, num_samples=num_samples)
            ours = compiled(x, seed=1, num_samples=num_samples)
            assert_same(ours.loss, eager.loss, vae)
            assert torch.equal(ours.z, eager.z)
            if isinstance(vae.elbo.beta, LinearWarmup):
                vae.elbo.beta.step()


@compiles
def test_compiled_noise_is_torchs() -> None:
    torch.compiler.reset()
    vae, x = model(), data()
    compiled = torch.compile(vae, fullgraph=True, backend="aot_eager")
    torch.manual_seed(5)
    eager = vae(x).z
    torch.manual_seed(5)
    assert torch.equal(compiled(x).z, eager)
    assert not torch.equal(compiled(x).z, eager)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor imports torch.jit
@pytest.mark.slow
def test_compiled_by_inductor() -> None:
    torch.compiler.reset()
    vae, x = model(), data()
    compiled = torch.compile(vae, fullgraph=True)
    assert_same(compiled(x, seed=1).loss, vae(x, seed=1).loss, vae)


def test_autocast() -> None:
    vae, x = model().float(), data().float()
    with torch.autocast("cpu", torch.bfloat16):
        output = vae(x, seed=1)
    assert output.prediction.dtype == output.z.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    output.loss.backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in vae.parameters())
    # bfloat16 rounds by 2^-9 in each of four layers of activations of about 1: 2^-6 covers them.
    torch.testing.assert_close(output.loss, vae(x, seed=1).loss, rtol=2**-6, atol=0)


def test_checkpointing_draws_the_same_noise() -> None:
    vae, x = model(), data()
    torch.manual_seed(4)
    plain = gradients(vae(x).loss, vae)
    torch.manual_seed(4)
    again = gradients(checkpoint(lambda batch: vae(batch).loss, x, use_reentrant=False), vae)
    for one, other in zip(again, plain, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_a_retained_graph_gives_the_same_gradients_twice() -> None:
    vae = model("pair", likelihood="gaussian", beta=2.0)
    loss = vae(data(), seed=1).loss
    first = torch.autograd.grad(loss, list(vae.parameters()), retain_graph=True)
    for one, other in zip(gradients(loss, vae), first, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    vae = VAE(TwoHeads(), nn.Linear(LATENT, PIXELS))
    x = (torch.rand(64, 1) > 0.5).float().expand(64, PIXELS).contiguous()
    optimizer = torch.optim.Adam(vae.parameters(), 0.03)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = vae(x).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # All-or-nothing images hold one bit; untrained, each pixel costs about one.
    assert losses[0] > 0.8 * PIXELS * math.log(2)
    assert sum(losses[-10:]) / 10 < 0.4 * PIXELS * math.log(2)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: model(parameterization="sigma"), ValueError, "parameterization: got 'sigma'"),
        (lambda: model(clamp=(1.0, 0.0)), ValueError, "clamp: got"),
        (lambda: model(latent_shape=0), ValueError, "latent_shape: got 0"),
        (lambda: model(likelihood="poisson"), ValueError, "likelihood: got 'poisson'"),
        (lambda: model(preset="vits"), ValueError, r"preset: got 'vits'.*ELBOLoss\(preset='vits'\)"),
        (lambda: model(betta=1.0), TypeError, "betta"),
        (lambda: model(latent_shape=4)(data()), ValueError, r"latent_shape: got \[4\]; encoder returned .* \[3\]"),
        (lambda: model()(data(), sample=False, seed=1), ValueError, "seed: got a value with sample=False"),
        (
            lambda: model()(data(), sample=False, num_samples=2),
            ValueError,
            "num_samples: got a value with sample=False",
        ),
        (lambda: model()(data(), seed=1, eps=data()), ValueError, "eps, seed: got 2 sources"),
        (lambda: model()(data(), num_samples=0), ValueError, "num_samples: got 0"),
        (lambda: model()(data(), data()[:, :4]), ValueError, "prediction: got shape"),
        (lambda: model(packed_dim=2)(data()), ValueError, "dim: got 2"),
        (lambda: model().log_likelihood(data(), num_samples=0), ValueError, "num_samples: got 0"),
        (lambda: model().log_likelihood(data(), chunk_size=0), ValueError, "chunk_size: got 0"),
        (
            lambda: model().log_likelihood(data(), seed=1, generator=torch.Generator()),
            ValueError,
            "seed, generator: got 2 sources",
        ),
        (lambda: model(preset="oobleck").log_likelihood(data()), ValueError, "preset: got 'oobleck'"),
        (lambda: VAE(nn.LSTM(PIXELS, 2), nn.Identity()).double()(data()), TypeError, "scale: got tuple"),
        (lambda: VAE(nn.Linear(PIXELS, 5), nn.Identity()).double()(data()), ValueError, "moments: got size 5"),
    ],
)
def test_mistakes_are_named(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_an_encoder_of_another_kind_is_named() -> None:
    class Dictionary(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"mu": x}

    with pytest.raises(TypeError, match="encoder: returned dict; takes a network that returns a pair"):
        VAE(Dictionary(), nn.Identity())(data())
