"""`fastvae.networks`, as a user meets it; shapes, first weights and training are in the tests of `fastvae train`."""

import pytest
import torch
from torch import nn

import fastvae
from fastvae import networks
from fastvae._likelihoods import LIKELIHOODS

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
        ({"layers": LAYERS._replace(activation="sigmoid")}, r"activation: got 'sigmoid'; takes one of"),
    ],
)
def test_mistakes_are_named(changes, message):
    arguments = {"architecture": "conv", "size": (8, 8), "layers": LAYERS, "latent_dim": 2}
    with pytest.raises(ValueError, match=message):
        networks.build(**arguments | changes)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_has_an_ending(likelihood):
    network = nn.Sequential(*networks.ending(likelihood))
    ends = torch.tensor([-1e3, 1e3])
    assert network(ends).tolist() == (ends.tolist() if likelihood == "bernoulli" else [0.0, 1.0])


def test_an_unknown_likelihood_is_refused():
    with pytest.raises(ValueError, match="likelihood: got 'other'; takes one of"):
        networks.ending("other")


def test_probabilities_keep_off_0_and_1_where_asked():
    network = nn.Sequential(*networks.ending("bernoulli_probs", 0.25))
    assert network(torch.tensor([-1e3, 0.0, 1e3])).tolist() == [0.25, 0.5, 0.75]
    with pytest.raises(ValueError, match=r"floor: got 0.25 with likelihood 'bernoulli', which takes logits; takes 0"):
        networks.ending("bernoulli", 0.25)
