"""The arguments of `fastvae.networks.build`: their defaults, what they change, and what is refused."""

import inspect
import json

import pytest
import torch
from torch import nn

from fastvae import networks
from fastvae._likelihoods import LIKELIHOODS
from fastvae.losses._named import NAMES
from tests.modules.test_networks import KINDS
from tools import network_sizes


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_the_signature_shows_the_options():
    parameters = inspect.signature(networks.build).parameters
    assert parameters == inspect.signature(networks.resolve).parameters
    assert list(networks.resolve("mlp", (3,), 1)) == list(parameters)
    optional = [name for name, parameter in parameters.items() if parameter.default is not parameter.empty]
    assert list(networks.Options.__annotations__) == optional
    assert list(networks.Arguments.__annotations__) == list(parameters)


@pytest.mark.parametrize(
    ("name", "side", "latent", "places"),
    [
        ("conv", 8, "spatial", 2),
        ("conv", 33, "spatial", 5),
        ("conv", 256, "spatial", 32),
        ("resnet", 8, "spatial", 4),
        ("resnet", 28, "spatial", 7),
        ("resnet", 64, "spatial", 8),
        ("resnet", 256, "spatial", 32),
        ("resnet", 256, "vector", 8),
        ("conv_valid", 256, "vector", 7),
    ],
)
def test_how_often_an_image_is_halved_by_default(name, side, latent, places):
    with torch.device("meta"):
        encoder, _, latent_shape = networks.build(name, (3, side, side), 4, latent=latent)
        flat = next((at for at, layer in enumerate(encoder) if isinstance(layer, nn.Flatten)), -1)
        maps = encoder[:flat](torch.empty(1, 3, side, side))
    assert maps.shape[-2:] == (places, places)
    assert latent_shape == ((4, places, places) if latent == "spatial" else (4,))


@pytest.mark.parametrize(("name", "latent"), KINDS)
def test_arguments_go_through_json(name, latent):
    """What `resolve` gives builds the same networks, bit for bit, and takes their state."""
    arguments = networks.resolve(name, [3, 9, 8], 2, latent=latent, condition=3, likelihood="laplace")
    assert networks.resolve(**arguments) == arguments
    assert None not in {key: value for key, value in arguments.items() if key not in ("widths", "blocks")}.values()
    kept = json.loads(json.dumps(arguments))
    built = []
    for options in ({"latent": latent, "condition": 3, "likelihood": "laplace"}, kept):
        positional = () if "shape" in options else (name, (3, 9, 8), 2)
        torch.manual_seed(1)
        built.append(networks.build(*positional, **options))
    one, other = built
    assert one.latent_shape == other.latent_shape
    for network, again in zip(one[:2], other[:2], strict=True):
        state = network.state_dict()
        assert all(torch.equal(state[key], value) for key, value in again.state_dict().items())
        nn.init.normal_(next(again.parameters()))
        again.load_state_dict(state)
        assert all(map(torch.equal, network.parameters(), again.parameters()))


def test_parameters_of_a_resnet_by_hand():
    """Widths a and b, one block each, `h` x `w` images halved once."""
    a, b, channels, latent, height, width = 8, 12, 3, 5, 9, 6
    features = b * 5 * 3

    def conv(narrow: int, wide: int) -> int:
        return 9 * narrow * wide + wide

    def block(width: int) -> int:
        return 2 * (2 * width + conv(width, width))

    shape = (channels, height, width)
    vector = networks.build("resnet", shape, latent, widths=(a, b))
    body = block(a) + block(b) + conv(channels, a)
    assert count(vector.encoder) == body + conv(a, b) + 2 * b + (features + 1) * 2 * latent
    assert count(vector.decoder) == body + conv(b, a) + 2 * a + (latent + 1) * features + channels - a
    spatial = networks.build("resnet", shape, latent, widths=(a, b), blocks=2, latent="spatial")
    body += block(a) + block(b)
    assert count(spatial.encoder) == body + conv(a, b) + 2 * b + conv(b, 2 * latent)
    assert count(spatial.decoder) == body + conv(b, a) + 2 * a + conv(latent, b) + channels - a


def test_options_change_the_networks():
    base = networks.build("resnet", (3, 16, 16), 4, widths=(8, 8))
    assert count(networks.build("resnet", (3, 16, 16), 4, widths=(8, 8), blocks=2).encoder) > count(base.encoder)
    dropped = networks.build("resnet", (3, 16, 16), 4, widths=(8, 8), dropout=0.25)
    dropouts = [layer for layer in dropped.decoder.modules() if isinstance(layer, nn.Dropout)]
    assert [layer.p for layer in dropouts] == [0.25, 0.25]
    for name, activation in (("resnet", nn.SiLU), ("conv", nn.ReLU)):
        layers = {type(layer) for network in networks.build(name, (1, 8, 8), 2)[:2] for layer in network.modules()}
        assert activation in layers
        assert not layers & ({nn.SiLU, nn.ReLU, nn.Tanh} - {activation})
        tanh = networks.build(name, (1, 8, 8), 2, activation="tanh").encoder
        assert any(isinstance(layer, nn.Tanh) for layer in tanh.modules())
    hidden = networks.build("resnet", (1, 8, 8), 2, hidden=(20,), decoder_hidden=(30, 10))
    assert [layer.out_features for layer in hidden.encoder if isinstance(layer, nn.Linear)] == [20, 4]
    assert [layer.in_features for layer in hidden.decoder if isinstance(layer, nn.Linear)] == [2, 30, 10]
    mirrored = networks.resolve("conv", (1, 8, 8), 2, hidden=(20, 10))
    assert mirrored["decoder_hidden"] == (10, 20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "unet"}, r"architecture: got 'unet'; takes one of \('mlp', 'conv', 'conv_valid', 'resnet'\)"),
        ({"latent": "sequence"}, r"latent: got 'sequence'; takes one of \('vector', 'spatial'\)"),
        (
            {"architecture": "mlp", "latent": "spatial"},
            r"latent: got 'spatial'; takes one of \('vector',\) with",
        ),
        ({"values": "bytes"}, r"values: got 'bytes'; takes one of \('unit', 'real', 'counts'\)"),
        ({"shape": (8, 8)}, r"shape: got \(8, 8\); takes \(channels, height, width\) with architecture 'conv'"),
        ({"shape": (), "architecture": "mlp"}, r"shape: got \(\); takes at least one size"),
        ({"shape": (1, 8, 0)}, r"shape: got \(1, 8, 0\); takes ints of at least 1"),
        ({"shape": 8}, r"shape: got 8; takes ints of at least 1"),
        ({"architecture": "conv_valid", "shape": (1, 6, 8)}, r"shape: got \(1, 6, 8\); takes .* at least 7 each"),
        ({"latent_dim": 0}, r"latent_dim: got 0; takes an int of at least 1"),
        ({"out_channels": True}, r"out_channels: got True; takes an int of at least 1"),
        ({"condition": -1}, r"condition: got -1; takes an int of at least 0"),
        ({"widths": ()}, r"widths: got \(\); takes at least one"),
        ({"widths": (3.5,)}, r"widths: got \(3.5,\); takes ints of at least 1"),
        ({"architecture": "resnet", "widths": (2, 8)}, r"widths: got \(2, 8\); takes at least 4 each"),
        ({"architecture": "mlp", "widths": (8,)}, r"widths: got \(8,\); takes None with architecture 'mlp'"),
        ({"blocks": 2}, r"blocks: got 2; takes None with architecture 'conv'"),
        ({"latent": "spatial", "hidden": (16,)}, r"hidden: got \(16,\); takes none with latent 'spatial'"),
        ({"latent": "spatial", "decoder_hidden": (16,)}, r"decoder_hidden: got \(16,\); takes none"),
        ({"hidden": (), "dropout": 0.5}, r"dropout: got 0.5; takes 0 without dense layers or residual blocks"),
        ({"activation": "sigmoid"}, r"activation: got 'sigmoid'; takes one of"),
        ({"likelihood": "other"}, r"likelihood: got 'other'; takes one of"),
        ({"likelihood": None, "probability_floor": 0.1}, r"probability_floor: got 0.1; takes 0 without a likelihood"),
        ({"shape": (2, 8, 8), "likelihood": "discretized_logistic_mixture"}, r"channels: got 2; takes one of \(1, 3\)"),
    ],
)
def test_mistakes_are_named(changes, message):
    arguments = {"architecture": "conv", "shape": (1, 8, 8), "latent_dim": 2}
    with pytest.raises(ValueError, match=message):
        networks.build(**arguments | changes)


@pytest.mark.parametrize("likelihood", NAMES)
def test_every_likelihood_has_an_ending(likelihood):
    network = nn.Sequential(*networks.ending(likelihood))
    ends = torch.tensor([-1e3, 1e3])
    between = likelihood in LIKELIHOODS and likelihood not in ("bernoulli", "poisson")
    assert network(ends).tolist() == ([0.0, 1.0] if between else ends.tolist())


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


def test_the_table_of_parameters_is_up_to_date():
    """If not: python -m tools.network_sizes."""
    text = network_sizes.PAGE.read_text(encoding="utf-8")
    assert network_sizes.page(text) == text
