"""VAE and BetaVAE against a hand-written ELBO in plain PyTorch."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor, nn

import fastvae
from fastvae import VAE, BetaVAE, DiagonalGaussian, ELBOLoss, LinearWarmup
from tests.modules.tiny import (
    BATCH,
    EXACT,
    LATENT,
    PIXELS,
    ToFloat,
    TwoHeads,
    assert_same,
    by_hand,
    data,
    model,
    moments,
)


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
    assert torch.equal(vae.decode(mu, mean=True), vae.decoder(mu).sigmoid())
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


def test_a_shared_scale_as_long_as_the_folded_batch_stays_a_vector() -> None:
    class MeanAndScale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.log_scale = nn.Linear(LATENT, PIXELS), nn.Parameter(torch.zeros(PIXELS))

        def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return self.mean(z), self.log_scale, self.log_scale.exp()[None]

    def gaussian(prediction: tuple[Tensor, Tensor, Tensor], x: Tensor) -> Tensor:
        mean, log_scale, scale = prediction
        return (0.5 * ((x - mean) / scale).square() + log_scale).sum(1)

    vae = VAE(nn.Linear(PIXELS, 2 * LATENT), MeanAndScale(), likelihood=gaussian)
    output = vae(data()[: PIXELS // 4].float(), num_samples=4)
    shapes = [list(part.shape) for part in output.prediction]
    assert shapes == [[4, PIXELS // 4, PIXELS], [PIXELS], [1, PIXELS]]


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
        (lambda: model(likelihood="rayleigh"), ValueError, "likelihood: got 'rayleigh'"),
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


@pytest.mark.parametrize("num_samples", [None, 2])
def test_without_a_loss_the_latents_are_the_same(num_samples: int | None) -> None:
    vae, x = model(), data()
    whole, part = (vae(x, seed=1, num_samples=num_samples, return_loss=each) for each in (True, False))
    assert all(torch.equal(value, whole[name]) for name, value in part.items())
    assert list(part) == ["z", "mu", "scale", "prediction"]
    with pytest.raises(AttributeError, match=r"^loss: takes one of z, mu, scale, prediction$"):
        part.loss  # noqa: B018
    for name in ("target", "weight"):
        with pytest.raises(
            ValueError, match=rf"^{name}: got float64\[5, 12\] with return_loss=False, which computes none"
        ):
            vae(x, return_loss=False, **{name: x})
