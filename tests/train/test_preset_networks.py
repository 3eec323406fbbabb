"""The networks of the published models and the defaults: the same layers, and for a seed the same first weights."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from fastvae.train.models import build
from fastvae.train.settings.config import Config
from fastvae.train.settings.presets import PUBLISHED
from fastvae.train.settings.resolve import new, resolve

# Parameters of the whole model.
COUNTS = {"s1": 134165, "s2": 1101140, "s3": 69989, "s4": 652824, "s5": 652824, "quadrants": 1361688, "iwae": 425284}
DIGITS = {"mlp": 85081, "conv": 356378, "conv_valid": 173978}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def published(name: str) -> Config:
    return new({"preset": name, "data_dir": "."})


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_as_many_parameters_as_ever(name):
    assert count(build.create(published(name))) == COUNTS[name]


@pytest.mark.parametrize("name", DIGITS)
def test_so_have_those_of_the_digits(name):
    chosen = Config(**resolve({"model": name, "threads": 1, "device": "cpu"}))
    assert count(build.create(chosen)) == DIGITS[name]


def conv(padding: int, first: int, hidden: tuple[int, ...]) -> tuple[nn.Sequential, nn.Sequential]:
    """Of s1, whose convolutions pad, and of s3, without hidden layers, whose do not."""
    side = 7 if padding else 6
    dense = [nn.Linear(64 * side * side, *hidden), nn.ReLU(), nn.Linear(*hidden, 4)] if hidden else []
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, padding),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, 2, padding),
        nn.ReLU(),
        nn.Flatten(),
        *(dense or [nn.Linear(64 * side * side, 4)]),
    )
    decoder = nn.Sequential(
        nn.Linear(2, first * 7 * 7),
        nn.ReLU(),
        nn.Unflatten(1, (first, 7, 7)),
        nn.ConvTranspose2d(first, 64, 3, 2, 1, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, 2, 1, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, 1, 1),
    )
    return encoder, decoder


def mlp(widths: tuple[int, ...], activation: type[nn.Module]) -> tuple[nn.Sequential, nn.Sequential]:
    """From pixels to moments through hidden layers, and back from half of them."""
    *body, moments = widths
    inputs = [nn.Flatten()]
    for narrow, wide in pairwise(body):
        inputs += [nn.Linear(narrow, wide), activation()]
    outputs, back = [], [moments // 2, *body[:0:-1]]
    for narrow, wide in pairwise(back):
        outputs += [nn.Linear(narrow, wide), activation()]
    encoder = nn.Sequential(*inputs, nn.Linear(body[-1], moments))
    return encoder, nn.Sequential(*outputs, nn.Linear(body[1], body[0]), nn.Unflatten(1, (1, 28, 28)))


PLAIN = {
    "s1": lambda: conv(1, 64, (16,)),
    "s3": lambda: conv(0, 32, ()),
    "s4": lambda: mlp((784, 400, 40), nn.ReLU),
    "s5": lambda: mlp((784, 400, 40), nn.ReLU),
    "iwae": lambda: mlp((784, 200, 200, 100), nn.Tanh),
}


@pytest.mark.parametrize("name", PLAIN)
def test_they_are_those_of_plain_pytorch_with_the_same_first_weights(name):
    """Layers made in the order of the model, the encoder's first, then Glorot weights in the same order."""
    chosen = published(name)
    model = build.create(chosen)
    torch.manual_seed(chosen.seed)
    encoder, decoder = PLAIN[name]()
    for layer in (*encoder, *decoder):
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    plain = nn.ModuleList((encoder, decoder))
    ours, theirs = list(model.parameters()), list(plain.parameters())
    assert len(ours) == len(theirs)
    assert all(map(torch.equal, ours, theirs))
    images = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.encoder(images), encoder(images / 255))
    z, ends_in_a_sigmoid = torch.randn(2, chosen.latent_dim), chosen.likelihood != "bernoulli"
    decoded = decoder(z).sigmoid() if ends_in_a_sigmoid else decoder(z)
    torch.testing.assert_close(model.decode(z), decoded)
