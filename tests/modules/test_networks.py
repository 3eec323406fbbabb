"""`fastvae.networks`, as a user meets it: shapes, first weights, gradients; training is in `tests/train`."""

import math
from itertools import product

import pytest
import torch
from torch import nn

import fastvae
from fastvae import networks
from fastvae.losses import Density
from fastvae.losses._named import NAMES, named

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.minutes(1)]

KINDS = [(name, latent) for name, row in networks.ARCHITECTURES.items() for latent in row.latents]
SPATIAL = [name for name, latent in KINDS if latent == "spatial"]
IMAGES = [name for name, row in networks.ARCHITECTURES.items() if row.widths is not None]
CHANNELS = {"negative_binomial": 2, "zero_inflated_negative_binomial": 3}


def images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def small(name: str, **options: object) -> dict[str, object]:
    """Narrow feature maps where the architecture has them."""
    return ({} if networks.ARCHITECTURES[name].widths is None else {"widths": (8, 12)}) | options


def test_public_names():
    assert networks is fastvae.networks
    assert "networks" in fastvae.__all__
    assert all(hasattr(networks, name) for name in networks.__all__)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(8, 8), (7, 7), (12, 9), (17, 31), (28, 28)])
@pytest.mark.parametrize(("name", "latent"), KINDS)
def test_any_size_and_channels(name, latent, size, channels):
    """A gaussian's mean lies in [0, 1], and has the very size of the image."""
    shape = (channels, *size)
    encoder, decoder, latent_shape = networks.build(name, shape, 3, latent=latent, likelihood="gaussian")
    x = images(2, *shape)
    moments = encoder(x)
    assert moments.shape == (2, 6, *latent_shape[1:])
    assert len(latent_shape) == (3 if latent == "spatial" else 1)
    torch.testing.assert_close(encoder(x / 255), moments)
    decoded = decoder(moments[:, :3])
    assert decoded.shape == x.shape
    assert ((decoded > 0) & (decoded < 1)).all()


@pytest.mark.parametrize("name", IMAGES)
def test_every_size_up_to_40(name):
    """Shapes alone, on the meta device."""
    for height, width in product(range(7, 41), (7, 23, 40)):
        with torch.device("meta"):
            encoder, decoder, _ = networks.build(name, (1, height, width), 2, widths=(8, 8, 8)[: 2 + (name == "conv")])
            x = torch.empty(1, 1, height, width)
            assert decoder(encoder(x)[:, :2]).shape == x.shape


@pytest.mark.parametrize("name", SPATIAL)
def test_one_pixel(name):
    encoder, decoder, _ = networks.build(name, (2, 1, 1), 3)
    assert decoder(encoder(images(5, 2, 1, 1))[:, :3]).shape == (5, 2, 1, 1)


@pytest.mark.parametrize("likelihood", NAMES)
@pytest.mark.parametrize(("name", "latent"), KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_of_every_likelihood_trains(name, latent, likelihood, channels):
    """In three lines, and the gradient comes to every parameter."""
    shape = (channels, 9, 8)
    torch.manual_seed(0)
    encoder, decoder, latent_shape = networks.build(
        name, shape, 3, **small(name, latent=latent, likelihood=likelihood, hidden=() if latent == "spatial" else (16,))
    )
    vae = fastvae.VAE(encoder, decoder, likelihood=likelihood, latent_shape=latent_shape)
    x = images(5, *shape)
    output = vae(x)
    output.loss.backward()
    mixture = 30 if channels == 1 else 100
    expected = mixture if likelihood == "discretized_logistic_mixture" else CHANNELS.get(likelihood, 1) * channels
    assert output.prediction.shape == (5, expected, 9, 8)
    for path, parameter in vae.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.any(), path
    assert output.kl.shape == (5,)
    assert output.z.shape == (5, *latent_shape)
    assert vae.sample(2).shape == (2, *shape)
    assert vae.log_likelihood(x, num_samples=3).shape == (5,)


@pytest.mark.parametrize("likelihood", [name for name in NAMES if name != "discretized_logistic_mixture"])
def test_vectors(likelihood):
    values = "counts" if named(likelihood).pixel_range == (0.0, 255.0) else "real"
    encoder, decoder, latent_shape = networks.build("mlp", (11,), 2, likelihood=likelihood, values=values, hidden=(7,))
    vae = fastvae.VAE(encoder, decoder, likelihood=likelihood, latent_shape=latent_shape)
    x = torch.randint(0, 2, (4, 11), generator=torch.Generator().manual_seed(0))
    output = vae(x.float())
    output.loss.backward()
    assert output.prediction.shape == (4, 11 * CHANNELS.get(likelihood, 1))
    assert vae.sample(2).shape == (2, 11)
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in vae.parameters())


def test_any_rank():
    encoder, decoder, _ = networks.build("mlp", (2, 3, 4, 5), 1)
    assert decoder(encoder(torch.rand(6, 2, 3, 4, 5))[:, :1]).shape == (6, 2, 3, 4, 5)


def test_what_the_numbers_are():
    bytes_ = torch.arange(256, dtype=torch.uint8)
    torch.testing.assert_close(networks.Pixels()(bytes_), torch.arange(256) / 255)
    half = torch.rand(3).bfloat16()
    assert networks.Pixels()(half) is half
    assert networks.Pixels()(torch.tensor([True, False])).tolist() == [1.0, 0.0]
    counts = torch.tensor([0, 1, 60000], dtype=torch.int32)
    torch.testing.assert_close(networks.LogCounts()(counts), (1 + counts.double()).log().float())
    for values, likelihood, first, last in (
        ("unit", "gaussian", networks.Pixels, nn.Sigmoid),
        ("real", "gaussian", networks.Pixels, nn.Linear),
        ("real", "bernoulli_probs", networks.Pixels, nn.Sigmoid),
        ("counts", "poisson", networks.LogCounts, nn.Linear),
    ):
        encoder, decoder, _ = networks.build("mlp", (3,), 1, likelihood=likelihood, values=values)
        assert isinstance(encoder[0], first)
        assert isinstance(decoder[-1], last)


class TwoParts(Density):
    def forward(self, prediction, target):
        mean, log_scale = prediction.chunk(2, 1)
        return (0.5 * ((mean - target) / log_scale.exp()).square() + log_scale).flatten(1).sum(1)

    def log_prob(self, prediction, target):
        return -self(prediction, target) - 0.5 * math.log(2 * math.pi) * target[0].numel()

    def mean(self, prediction):
        return prediction.chunk(2, 1)[0]


def test_a_likelihood_of_ones_own():
    encoder, decoder, latent_shape = networks.build("resnet", (3, 8, 8), 2, likelihood=None, out_channels=6)
    x = torch.rand(2, 3, 8, 8)
    output = fastvae.VAE(encoder, decoder, likelihood=TwoParts(), latent_shape=latent_shape)(x)
    assert output.prediction.shape == (2, 6, 8, 8)
    assert networks.build("conv", (3, 8, 8), 2, likelihood=None).decoder(torch.zeros(1, 2)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(("name", "latent"), KINDS)
def test_a_condition_comes_beside_both(name, latent):
    """As a CVAE calls them; each of x, latent and condition matters."""
    torch.manual_seed(0)
    encoder, decoder, latent_shape = networks.build(name, (3, 9, 8), 2, **small(name, latent=latent, condition=10))
    cvae = fastvae.CVAE(encoder, decoder, latent_shape=latent_shape)
    x, labels = images(5, 3, 9, 8), nn.functional.one_hot(torch.arange(5), 10).float()
    output = cvae(labels, x)
    output.loss.backward()
    assert output.z.shape == (5, *latent_shape)
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in cvae.parameters())
    assert cvae.sample(labels, 3).shape == (3, 5, 3, 9, 8)
    z = torch.randn(1, *latent_shape)
    for network, inputs in ((encoder, (x[:1], x[1:2])), (decoder, (z, -z))):
        given = network(inputs[0], labels[:1])
        assert not torch.allclose(network(inputs[0], labels[1:2]), given)
        assert not torch.allclose(network(inputs[1], labels[:1]), given)


def test_initialisation_is_glorot_with_zero_biases():
    torch.manual_seed(0)
    encoder, _, _ = networks.build("mlp", (1, 28, 28), 20)
    layer = encoder[2]
    assert layer.bias.abs().max() == 0
    bound = math.sqrt(6 / (784 + 400))
    assert 0.99 * bound < layer.weight.abs().max() <= bound


@pytest.mark.parametrize("latent", networks.LATENTS)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 3), (64, 3)])
def test_a_fresh_resnet_keeps_the_size_of_its_numbers(size, channels, latent):
    """However deep: moments and logits of standard deviations around 1."""
    torch.manual_seed(0)
    encoder, decoder, latent_shape = networks.build("resnet", (channels, size, size), 16, latent=latent)
    with torch.no_grad():
        moments = encoder(images(16, channels, size, size))
        decoded = decoder(torch.randn(16, *latent_shape))
    assert 0.3 < moments.std() < 1.5
    assert 0.3 < decoded.std() < 1.5


def test_a_residual_block_adds_to_what_it_is_given():
    encoder, _, _ = networks.build("resnet", (1, 8, 8), 2, widths=(8, 8))
    block = encoder[2]
    x = torch.randn(2, 8, 5, 5)
    nn.init.zeros_(block.added[-1].weight)
    assert torch.equal(block(x), x)


# Of inductor's own, where it looks for a convolution with an activation.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize(("name", "latent"), [("mlp", "vector"), ("conv", "vector"), ("resnet", "spatial")])
def test_compiled_networks_give_the_same(name, latent):
    torch.compiler.reset()  # of the same forward, that of nn.Sequential, only so many versions are kept
    torch.manual_seed(0)
    encoder, decoder, latent_shape = networks.build(name, (3, 9, 8), 2, **small(name, latent=latent))
    x, z = images(4, 3, 9, 8), torch.randn(4, *latent_shape)
    for network, given in ((encoder, x), (decoder, z)):
        compiled = torch.compile(network, fullgraph=True)
        torch.testing.assert_close(compiled(given), network(given), rtol=1e-4, atol=1e-5)
