"""`fastvae.networks`, as a user meets it; shapes, first weights and training are in the tests of `fastvae train`."""

import pytest
import torch
from torch import nn

import fastvae
from fastvae import networks
from fastvae._likelihoods import LIKELIHOODS
from fastvae.losses._named import NAMES

LAYERS = networks.Layers((16,), (16,))


def test_public_names():
    assert networks is fastvae.networks
    assert "networks" in fastvae.__all__
    for name in networks.__all__:
        value = getattr(networks, name)
        assert isinstance(value, dict) or len(value.__doc__) > 30, name


def test_a_model_of_two_lines_trains():
    encoder, decoder = networks.build("conv", (8, 12), LAYERS, 3, networks.ending("bernoulli_probs"))
    vae = fastvae.VAE(encoder, decoder, likelihood="bernoulli_probs", latent_shape=3)
    images = torch.randint(0, 256, (5, 1, 8, 12), dtype=torch.uint8)
    vae(images).loss.backward()
    assert all(parameter.grad is not None for parameter in vae.parameters())
    assert vae.sample(2).shape == (2, 1, 8, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet"}, r"architecture: got 'resnet'; takes one of \('mlp', 'conv', 'conv_valid'\)"),
        ({"size": (8, 10)}, r"size: got \(8, 10\); takes a height and a width divisible by 4, at least 4 each"),
        ({"architecture": "conv_valid", "size": (4, 8)}, r"size: got \(4, 8\); takes .* at least 8 each"),
        ({"channels": 0}, r"channels: got 0; takes an int of at least 1"),
        ({"layers": LAYERS._replace(activation="sigmoid")}, r"activation: got 'sigmoid'; takes one of"),
    ],
)
def test_mistakes_are_named(changes, message):
    arguments = {"architecture": "conv", "size": (8, 8), "layers": LAYERS, "latent_dim": 2}
    with pytest.raises(ValueError, match=message):
        networks.build(**arguments | changes)


@pytest.mark.parametrize("likelihood", NAMES)
def test_every_likelihood_has_an_ending(likelihood):
    network = nn.Sequential(*networks.ending(likelihood))
    ends = torch.tensor([-1e3, 1e3])
    between = likelihood in LIKELIHOODS and likelihood not in ("bernoulli", "poisson")
    assert network(ends).tolist() == ([0.0, 1.0] if between else ends.tolist())


CHANNELS = {"negative_binomial": 2, "zero_inflated_negative_binomial": 3, "discretized_logistic_mixture": 30}


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
@pytest.mark.parametrize("likelihood", NAMES)
def test_a_decoder_gives_what_the_likelihood_takes(likelihood, architecture):
    channels = networks.decoder_channels(likelihood)
    assert channels == CHANNELS.get(likelihood, 1)
    ending = networks.ending(likelihood)
    encoder, decoder = networks.build(architecture, (8, 12), LAYERS, 3, ending, channels=channels)
    vae = fastvae.VAE(encoder, decoder, likelihood=likelihood, latent_shape=3)
    images = torch.randint(0, 256, (5, 1, 8, 12), dtype=torch.uint8)
    output = vae(images)
    output.loss.backward()
    assert output.prediction.shape == (5, channels, 8, 12)
    assert all(parameter.grad is not None for parameter in vae.parameters())
    assert vae.sample(2).shape == (2, 1, 8, 12)


def test_colours_have_more_channels():
    colours = {name: networks.decoder_channels(name, 3) for name in NAMES}
    mixture = colours.pop("discretized_logistic_mixture")
    assert mixture == 100
    assert colours == {name: 3 * networks.decoder_channels(name) for name in colours}
    with pytest.raises(ValueError, match=r"channels: got 2; takes one of \(1, 3\)"):
        networks.decoder_channels("discretized_logistic_mixture", 2)


def test_an_unknown_likelihood_is_refused():
    with pytest.raises(ValueError, match="likelihood: got 'other'; takes one of"):
        networks.ending("other")
    with pytest.raises(ValueError, match=r"likelihood: got 'other'; takes one of .*'discretized_logistic_mixture'"):
        networks.decoder_channels("other")


def test_probabilities_keep_off_0_and_1_where_asked():
    network = nn.Sequential(*networks.ending("bernoulli_probs", 0.25))
    assert network(torch.tensor([-1e3, 0.0, 1e3])).tolist() == [0.25, 0.5, 0.75]
    with pytest.raises(
        ValueError, match=r"floor: got 0.25 with likelihood 'bernoulli', which takes any number; takes 0"
    ):
        networks.ending("bernoulli", 0.25)
