"""Mixtures as priors: their density, their samples, and models that are trained and evaluated under them."""

import copy
import pickle

import pytest
import torch
from torch import nn

from fastvae import VAE, MixturePrior, VampPrior

BATCH, LATENT, PIXELS, K = 6, 3, 5, 4


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return nn.Linear(PIXELS, 2 * LATENT).double(), nn.Linear(LATENT, PIXELS).double()


def priors(encoder: nn.Module) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    made = {
        "mixture": MixturePrior(K, LATENT).double(),
        "vamp": VampPrior(torch.rand(K, PIXELS, dtype=torch.float64), encoder),
    }
    for prior in made.values():
        with torch.no_grad():
            prior.log_weights.copy_(torch.tensor([0.3, -1.0, 2.0, 0.0]))
    return made


def torch_mixture(prior: nn.Module) -> torch.distributions.Distribution:
    components = prior.components()
    normals = torch.distributions.Independent(torch.distributions.Normal(components.mu, components.std), 1)
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=prior.log_weights), normals)


@pytest.mark.parametrize("kind", ["mixture", "vamp"])
def test_the_density_is_that_of_torch_distributions(kind: str) -> None:
    prior = priors(networks()[0])[kind]
    for shape in ((BATCH, LATENT), (2, BATCH, LATENT)):
        z = torch.randn(shape, dtype=torch.float64)
        torch.testing.assert_close(prior.log_prob(z), torch_mixture(prior).log_prob(z))


@pytest.mark.parametrize("kind", ["mixture", "vamp"])
def test_samples_have_the_moments_of_the_mixture(kind: str) -> None:
    prior = priors(networks()[0])[kind]
    z = prior.sample(20_000, seed=1)
    mixture = torch_mixture(prior)
    error = (z.mean(0) - mixture.mean).abs() / (mixture.variance / len(z)).sqrt()
    assert error.max() < 4.5
    torch.testing.assert_close(z.var(0), mixture.variance.detach(), rtol=0.05, atol=0)
    assert torch.equal(z, prior.sample(20_000, seed=1))
    assert not torch.equal(z, prior.sample(20_000, seed=2))


@pytest.mark.parametrize("kind", ["mixture", "vamp"])
def test_the_kl_is_estimated_at_the_sample(kind: str) -> None:
    encoder, decoder = networks()
    prior = priors(encoder)[kind]
    model = VAE(encoder, decoder, prior=prior, likelihood="gaussian", latent_shape=LATENT)
    x = torch.randn(BATCH, PIXELS, dtype=torch.float64)
    output = model(x, seed=2)
    posterior = model.encode(x)
    expected = posterior.log_prob(output.z) - torch_mixture(prior).log_prob(output.z)
    torch.testing.assert_close(output.kl, expected.detach())
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    log_w = model.log_weights(x, num_samples=3, seed=4)
    z = posterior.rsample(3, seed=4)
    decoded = torch.distributions.Normal(model.decode(z), 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(log_w, decoded + torch_mixture(prior).log_prob(z) - posterior.log_prob(z))
    assert model.log_likelihood(x, num_samples=5, seed=0).shape == (BATCH,)
    assert model.sample(9, seed=0).shape == (9, PIXELS)
    with pytest.raises(ValueError, match="sample: got False with prior="):
        model(x, sample=False)


def test_the_encoder_of_a_vamp_prior_stays_the_models() -> None:
    encoder, decoder = networks()
    model = VAE(encoder, decoder, prior=priors(encoder)["vamp"], likelihood="gaussian")
    names = set(model.state_dict())
    assert names == {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"} | {
        "prior.pseudo_inputs", "prior.log_weights"
    }  # fmt: skip
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with torch.no_grad():
            twin.encoder.weight.zero_()
            twin.encoder.bias.zero_()
        assert twin.prior.components().mu.abs().max() == 0


def test_a_mixture_takes_the_latent_shape_of_its_model() -> None:
    encoder, decoder = networks()
    assert VAE(encoder, decoder, prior=MixturePrior(K), latent_shape=(2, 3)).prior.mu.shape == (K, 2, 3)
    with pytest.raises(ValueError, match="latent_shape: got None with prior=MixturePrior"):
        VAE(encoder, decoder, prior=MixturePrior(K))
    with pytest.raises(ValueError, match=r"latent_shape: got \[5\] with a prior of \[3\]"):
        VAE(encoder, decoder, prior=MixturePrior(K, 3), latent_shape=5)


def test_mistakes_are_named() -> None:
    encoder, decoder = networks()
    with pytest.raises(ValueError, match="num_components: got 0"):
        MixturePrior(0, 3)
    with pytest.raises(TypeError, match="pseudo_inputs: got 500"):
        VampPrior(500, encoder)
    with pytest.raises(TypeError, match="prior: got Linear; takes a module with log_prob and sample"):
        VAE(encoder, decoder, prior=nn.Linear(2, 2))
    with pytest.raises(ValueError, match="prior: got a value with free bits per dimension"):
        VAE(encoder, decoder, prior=MixturePrior(K, 3), free_bits=0.5, free_bits_per="dimension")
    model = VAE(encoder, decoder, prior=MixturePrior(K, 3).double())
    posterior = model.encode(torch.randn(BATCH, PIXELS, dtype=torch.float64))
    with pytest.raises(ValueError, match="prior: got MixturePrior, to which the KL has no closed form"):
        posterior.kl(model.prior)
